/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/doctor.h"

#include "audio/decode.h"
#include "formats/arrow.h"
#include "formats/tar.h"
#include "jobs/versions.h"

#include <hdf5.h>
#include <string.h>

/* HDF5 refuses to work with headers of another release, and says so by aborting: ask before it does. */
static void
library(struct findings *f, const struct version *v)
{
	bool absent = !*v->run, other = *v->built && !absent && strcmp(v->built, v->run) != 0;
	bool hdf5 = strcmp(v->name, "HDF5") == 0, ffmpeg = strcmp(v->name, "FFmpeg") == 0;
	char *advice;

	if (absent) {
		advice = doctor_add(f, FINDING_WARN, v->name, "absent");
		snprintf(advice, 240, "%s", ffmpeg ? "m4a, aac, alac and wma cannot be read: install FFmpeg's libraries, "
						     "configure --with-ffmpeg and build again" : "install it");
		return;
	}
	advice = doctor_add(f, other && hdf5 ? FINDING_FAIL : FINDING_OK, v->name, "%s%s%s%s", v->run,
			    other ? ", built with " : "", other ? v->built : "",
#ifdef H5_HAVE_PARALLEL
			    hdf5 ? ", parallel build" : "");
#else
			    hdf5 ? ", serial build" : "");
#endif
	if (other && hdf5)
		strcpy(advice, "the library is another than the headers: build again, or look at LD_LIBRARY_PATH");
}

static void
codecs(struct findings *f)
{
	static const struct {
		const char *codec, *name;
	} all[] = {
		{ "pcm_s16le", "wav" }, { "flac", "flac" }, { "mp3", "mp3" }, { "vorbis", "vorbis" }, { "opus", "opus" },
		{ "aac", "aac" }, { "alac", "alac" }, { "wmav2", "wma" },
	};
	char have[200] = "", lack[100] = "", *advice;

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		const char *who = audio_decoder_of(all[i].codec);
		char one[40];
		snprintf(one, sizeof one, "%s%s", who ? " " : *lack ? ", " : "", all[i].name);
		strcat(who ? have : lack, one);
		if (who && strcmp(who, "FFmpeg") == 0)
			strcat(have, "*");
	}
	advice = doctor_add(f, *lack ? FINDING_WARN : FINDING_OK, "codecs", "%s%s", have + (*have == ' '),
			    strchr(have, '*') ? " (* by FFmpeg)" : "");
	if (*lack)
		snprintf(advice, 240, "no decoder for %s; such songs are passed over by name; install FFmpeg's libraries", lack);
}

/* What reads Hugging Face data sets; loaded when it is needed. */
static void
data_sets(struct findings *f)
{
	bool arrow = arrow_load() == ACE_OK, tar = tar_load();
	char *advice = doctor_add(f, arrow && tar ? FINDING_OK : FINDING_WARN, "data sets", "%s%s, %s",
	                          arrow ? "Parquet and Arrow files by Arrow " : "no Parquet and Arrow files", arrow_version(),
	                          tar ? "tar shards by libarchive" : "no tar shards");

	if (!arrow)
		snprintf(advice, 240, "%.230s", ace_message());
	else if (!tar)
		snprintf(advice, 240, "install libarchive and its headers, configure and build again");
}

void
doctor_libraries(struct findings *f)
{
	struct version v[VERSIONS_MOST];
	int n = versions_get(v);

	for (int i = 0; i < n; i++)
		library(f, &v[i]);
	codecs(f);
	data_sets(f);
}
