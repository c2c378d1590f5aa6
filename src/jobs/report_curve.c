/* SPDX-License-Identifier: Apache-2.0 */
/* A curve brought to the width of a page, and drawn: as bars of text, and as SVG. */
#include "jobs/report_parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WIDTH = 720, HEIGHT = 240, LEFT = 64, RIGHT = 16, TOP = 32, BOTTOM = 36 };

static const struct {
	const char *name, *title, *unit;
} columns[REPORT_COLUMNS] = {
	[REPORT_LOSS] = { "loss", "Loss", "" },
	[REPORT_RATE] = { "learning_rate", "Learning rate", "" },
	[REPORT_NORM] = { "grad_norm", "Gradient norm", "" },
	[REPORT_SPEED] = { "speed", "Speed", "seconds of audio a second" },
};

void
report_put(struct buffer *b, const char *fmt, ...)
{
	char text[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	buffer_str(b, text);
}

void
report_escape(struct buffer *b, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '&': buffer_str(b, "&amp;"); break;
		case '<': buffer_str(b, "&lt;"); break;
		case '>': buffer_str(b, "&gt;"); break;
		case '"': buffer_str(b, "&quot;"); break;
		default: buffer_char(b, *text);
		}
}

double
report_mean(const struct report_metrics *m, enum report_column column, double from, double to)
{
	int64_t first = (int64_t)(from * (double)m->n), last = (int64_t)ceil(to * (double)m->n),
		n = 0;
	double sum = 0;

	for (int64_t i = first; i < last && i < m->n; i++)
		if (!isnan(m->v[column][i])) {
			sum += m->v[column][i];
			n++;
		}
	return n ? sum / (double)n : NAN;
}

/* Each bin's mean with those of its neighbours, a twentieth of the curve wide. */
static void
smooth(struct report_curve *c)
{
	int reach = c->bins / 40;

	for (int i = 0; i < c->bins; i++) {
		double sum = 0;
		int n = 0;
		for (int k = i - reach; k <= i + reach; k++)
			if (k >= 0 && k < c->bins) {
				sum += c->mean[k];
				n++;
			}
		c->smooth[i] = sum / n;
	}
}

void
report_curve_make(struct report_curve *c, const struct report_metrics *m, enum report_column column,
		  int most)
{
	int64_t bins = m->n < most ? m->n : most;

	*c = (struct report_curve){ .name = columns[column].name,
				    .title = columns[column].title,
				    .unit = columns[column].unit };
	for (int64_t k = 0; k < bins; k++) {
		int64_t from = k * m->n / bins, to = (k + 1) * m->n / bins, n = 0;
		double sum = 0, low = INFINITY, high = -INFINITY;
		for (int64_t i = from; i < to; i++) {
			double v = m->v[column][i];
			if (isnan(v))
				continue;
			sum += v;
			low = fmin(low, v);
			high = fmax(high, v);
			n++;
		}
		if (n == 0)
			continue;
		c->step[c->bins] = (double)m->step[(from + to - 1) / 2];
		c->mean[c->bins] = sum / (double)n;
		c->low[c->bins] = low;
		c->high[c->bins++] = high;
	}
	smooth(c);
}

static void
ends(const struct report_curve *c, const double *v, double *low, double *high)
{
	*low = INFINITY;
	*high = -INFINITY;
	for (int i = 0; i < c->bins; i++) {
		*low = fmin(*low, v[i]);
		*high = fmax(*high, v[i]);
	}
}

void
report_bars(struct buffer *b, const struct report_curve *c, bool utf8)
{
	static const char *const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
	static const char letters[] = "_.-~=+*#";
	double low, high;

	ends(c, c->mean, &low, &high);
	for (int i = 0; i < c->bins; i++) {
		int level = high > low ? (int)((c->mean[i] - low) / (high - low) * 7.999) : 3;
		if (utf8)
			buffer_str(b, blocks[level]);
		else
			buffer_char(b, letters[level]);
	}
}

/* The nearest of 1, 2, 5 times a power of ten that gives at most parts ticks. */
static double
tick(double range, int parts)
{
	double base = pow(10, floor(log10(range / parts)));

	for (int k = 0; k < 3; k++) {
		double t = base * (double[]){ 1, 2, 5 }[k];
		if (range / t <= parts)
			return t;
	}
	return 10 * base;
}

struct plane {
	double x0, x1, y0, y1; /* what is shown */
};

static double
px(const struct plane *p, double x)
{
	return LEFT + (x - p->x0) / (p->x1 - p->x0) * (WIDTH - LEFT - RIGHT);
}

static double
py(const struct plane *p, double y)
{
	return HEIGHT - BOTTOM - (y - p->y0) / (p->y1 - p->y0) * (HEIGHT - TOP - BOTTOM);
}

static void
axes(struct buffer *b, const struct plane *p)
{
	double t = tick(p->y1 - p->y0, 5);

	for (double y = ceil(p->y0 / t) * t; y <= p->y1 + t * 1e-6; y += t) {
		report_put(b,
			   "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" "
			   "stroke=\"currentColor\" stroke-opacity=\".15\"/>\n",
			   LEFT, WIDTH - RIGHT, py(p, y), py(p, y));
		report_put(b, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
			   LEFT - 6, py(p, y) + 4, fabs(y) < t * 1e-6 ? 0 : y);
	}
	t = fmax(1, tick(p->x1 - p->x0, 8));
	for (double x = ceil(p->x0 / t) * t; x <= p->x1 + t * 1e-6; x += t)
		report_put(b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
			   px(p, x), HEIGHT - BOTTOM + 16, x);
	report_put(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">step</text>\n", WIDTH - RIGHT,
		   HEIGHT - 4);
}

static void
points(struct buffer *b, const struct plane *p, const struct report_curve *c, const double *v,
       bool backwards)
{
	for (int k = 0; k < c->bins; k++) {
		int i = backwards ? c->bins - 1 - k : k;
		report_put(b, "%s%.1f,%.1f", k ? " " : "", px(p, c->step[i]), py(p, v[i]));
	}
}

void
report_svg(struct buffer *b, const struct report_curve *c)
{
	struct plane p = { .x0 = 0, .x1 = 1, .y0 = 0, .y1 = 1 };

	if (c->bins > 0) {
		double low, high;
		ends(c, c->low, &p.y0, &high);
		ends(c, c->high, &low, &p.y1);
		p.x0 = c->step[0];
		p.x1 = c->step[c->bins - 1];
	}
	if (p.x1 <= p.x0)
		p.x1 = p.x0 + 1;
	if (p.y1 - p.y0 <= 1e-12 * fabs(p.y1)) { /* a level curve stands in the middle */
		double half = p.y1 == 0 ? 1 : fabs(p.y1) / 2;
		p.y0 -= half;
		p.y1 += half;
	}
	report_put(b,
		   "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" "
		   "font-family=\"sans-serif\" "
		   "font-size=\"12\" fill=\"currentColor\">\n<title>%s</title>\n<text x=\"%d\" "
		   "y=\"18\" font-size=\"14\" "
		   "font-weight=\"bold\">%s</text>\n",
		   WIDTH, HEIGHT, c->title, LEFT, c->title);
	if (*c->unit)
		report_put(b, "<text x=\"%d\" y=\"18\" text-anchor=\"end\">%s</text>\n",
			   WIDTH - RIGHT, c->unit);
	axes(b, &p);
	if (c->bins > 0) {
		buffer_str(b, "<polygon fill=\"#2a78c8\" fill-opacity=\".2\" points=\"");
		points(b, &p, c, c->high, false);
		buffer_char(b, ' ');
		points(b, &p, c, c->low, true);
		buffer_str(b, "\"/>\n<polyline fill=\"none\" stroke=\"#2a78c8\" "
			      "stroke-opacity=\".45\" points=\"");
		points(b, &p, c, c->mean, false);
		buffer_str(b, "\"/>\n<polyline fill=\"none\" stroke=\"#2a78c8\" stroke-width=\"2\" "
			      "points=\"");
		points(b, &p, c, c->smooth, false);
		buffer_str(b, "\"/>\n");
	}
	buffer_str(b, "</svg>\n");
}
