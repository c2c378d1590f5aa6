/* SPDX-License-Identifier: Apache-2.0 */
/* A random model's files: their names and shapes, the numbers in them, and that they are there
 * whole or not at all. */
#include "jobs/init_model.h"

#include "audio/mel.h"
#include "base/file.h"
#include "base/json.h"
#include "base/msg.h"
#include "base/stop.h"
#include "formats/weights.h"
#include "jobs/init_model_parts.h"
#include "support/golden.h"
#include "support/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const files[] = {
	"ace_step_transformer/config.json",
	"ace_step_transformer/diffusion_pytorch_model.safetensors",
	"music_dcae_f8c8/config.json",
	"music_dcae_f8c8/diffusion_pytorch_model.safetensors",
	"music_vocoder/config.json",
	"music_vocoder/diffusion_pytorch_model.safetensors",
	"umt5-base/config.json",
	"umt5-base/model.safetensors",
	"umt5-base/tokenizer.json",
	"umt5-base/tokenizer_config.json",
	"umt5-base/special_tokens_map.json",
	"lyric_vocab.json",
	"init_model.json",
};

enum { FILES = sizeof files / sizeof *files };

static const struct init_model_job tiny = {
	.preset = "tiny", .seed = 7, .dtype = F32, .threads = 1
};

static enum status
make(const char *dir, struct init_model_job job)
{
	job.dir = dir;
	return init_model_write(&job);
}

static int
entries(const char *dir)
{
	struct dirent *e;
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	while ((e = readdir(d)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

/* How many of the files differ; a file that is missing fails. */
static int
differing(const char *a, const char *b)
{
	int n = 0;

	for (int i = 0; i < FILES; i++) {
		char *x = file_path("%s/%s", a, files[i]), *y = file_path("%s/%s", b, files[i]), *p,
		     *q;
		size_t np, nq;
		assert_ok(file_read(x, 1 << 26, &p, &np));
		assert_ok(file_read(y, 1 << 26, &q, &nq));
		n += np != nq || memcmp(p, q, np) != 0;
		free(p);
		free(q);
		free(x);
		free(y);
	}
	return n;
}

static void
a_seed_gives_the_same_bytes_whatever_the_threads(void **state)
{
	const char *dir = golden_tmp();
	char *a = file_path("%s/deep/er/a", dir), *b = file_path("%s/b", dir),
	     *c = file_path("%s/c/", dir);
	struct init_model_job job = tiny;

	(void)state;
	assert_ok(make(a, job));
	job.threads = 3;
	assert_ok(make(b, job));
	assert_int_equal(differing(a, b), 0);
	assert_int_equal(entries(a), 6); /* and nothing else */
	job.seed = 8;
	assert_int_equal(mkdir(c, 0755), 0); /* an empty folder will do */
	assert_ok(make(c, job));
	assert_int_equal(differing(a, c), 5); /* the weights, and the record of the seed */
	assert_int_equal(entries(dir), 3);
	free(a);
	free(b);
	free(c);
	assert_ok(file_remove_tree(dir));
}

static void
bf16_is_the_rounded_fp32(void **state)
{
	const char *dir = golden_tmp();
	char *a = file_path("%s/a", dir), *b = file_path("%s/b", dir);
	struct init_model_job job = tiny;
	int64_t seen = 0;

	(void)state;
	assert_ok(make(a, job));
	job.dtype = BF16;
	assert_ok(make(b, job));
	for (int i = 0; i < FILES; i++) {
		char *x = file_path("%s/%s", a, files[i]), *y = file_path("%s/%s", b, files[i]);
		struct st_file f, g;
		if (strstr(files[i], ".safetensors")) {
			assert_ok(st_open(&f, x));
			assert_ok(st_open(&g, y));
			assert_int_equal(f.n, g.n);
			for (int k = 0; k < f.n; k++) {
				const struct st_entry *e = &f.entry[k], *h = st_find(&g, e->name);
				assert_non_null(h);
				assert_true(h->value.dtype == BF16 &&
					    tensor_same_shape(e->value, h->value));
				for (int64_t j = 0; j < tensor_count(e->value); j++, seen++)
					assert_int_equal(((uint16_t *)h->value.data)[j],
							 f32_to_bf16(((float *)e->value.data)[j]));
			}
			st_close(&f);
			st_close(&g);
		}
		free(x);
		free(y);
	}
	assert_true(seen > 1000000);
	free(a);
	free(b);
	assert_ok(file_remove_tree(dir));
}

static struct tensor
tensor_in(const struct weights *w, const char *name)
{
	const struct st_entry *e = weights_find(w, name);

	assert_non_null(e);
	assert_int_equal(e->value.dtype, F32);
	return e->value;
}

/* Every number is finite; a uniform or normal tensor has about its rule's size, and no two tensors
 * begin alike. */
static void
numbers_follow_their_rules(void **state)
{
	struct init_list l = { 0 };
	float before = 0;

	(void)state;
	init_dit(&l, init_sizes_of("tiny"));
	init_umt5(&l, init_sizes_of("tiny"));
	assert_false(l.bad);
	for (int i = 0; i < l.n; i++) {
		struct tensor t = tensor_make(NULL, F32, l.v[i].rank, l.v[i].dim);
		int64_t n = tensor_count(t);
		float *x = malloc((size_t)n * sizeof *x);
		double square = 0, top = 0, scale = (double)l.v[i].scale,
		       want = l.v[i].rule == INIT_UNIFORM ? scale / sqrt(3) : scale;
		init_numbers(&l, i, 3, 1, 0, n, x);
		for (int64_t k = 0; k < n; k++) {
			square += (double)x[k] * (double)x[k];
			top = fmax(top, fabs((double)x[k]));
		}
		if (l.v[i].rule == INIT_UNIFORM)
			assert_true(top <= scale);
		if (l.v[i].rule != INIT_CONSTANT) {
			assert_true(fabs(sqrt(square / (double)n) - want) <=
				    want * 4 / sqrt((double)n));
			assert_true(x[0] != before);
			before = x[0];
		}
		free(x);
	}
	init_list_free(&l);
}

/* Numbers do not depend on where a range begins. */
static void
any_range_of_a_tensor_is_a_part_of_it(void **state)
{
	struct init_list l = { 0 };
	float whole[100], part[100];

	(void)state;
	init_add(&l, INIT_UNIFORM, 2, 1, init_dims(100), "u");
	init_add(&l, INIT_NORMAL, 2, 1, init_dims(100), "n");
	init_add(&l, INIT_UNIFORM, 2, 2, init_dims(20, 5), "v");
	init_add(&l, INIT_ROW_NORMS, 0, 2, init_dims(20, 1), "g");
	for (int i = 0; i < 4; i++) {
		int64_t n = i < 3 ? 100 : 20;
		init_numbers(&l, i, 1, 2, 0, n, whole);
		for (int64_t from = 0; from < n; from += 3)
			for (int64_t k = 0; from + k <= n; k += 7) {
				init_numbers(&l, i, 1, 2, from, k, part);
				assert_memory_equal(part, whole + from, (size_t)k * sizeof *part);
			}
	}
	init_list_free(&l);
}

static void
the_vocoder_has_the_mel_buffers_and_normed_weights(void **state)
{
	const struct mel_options real = {
		.rate = 44100, .n_fft = 2048, .hop = 512, .bands = 128, .f_min = 40, .f_max = 16000
	};
	const char *dir = golden_tmp();
	char *a = file_path("%s/a", dir), *folder = file_path("%s/a/music_vocoder", dir);
	struct weights w;
	struct mel *mel;
	int pairs = 0;

	(void)state;
	assert_ok(make(a, tiny));
	assert_ok(weights_open(&w, folder));
	assert_ok(mel_open(&mel, &real, NULL, NULL));
	assert_memory_equal(tensor_in(&w, "mel_transform.spectrogram.window").data, mel_window(mel),
			    2048 * sizeof(float));
	assert_memory_equal(tensor_in(&w, "mel_transform.mel_scale.fb").data, mel_filters(mel),
			    1025 * 128 * sizeof(float));
	for (int i = 0; i < w.file[0].n; i++) {
		const char *name = w.file[0].entry[i].name;
		size_t len = strlen(name);
		if (strcmp(name + len - 2, "_v") != 0)
			continue;
		char g_name[96];
		snprintf(g_name, sizeof g_name, "%.*sg", (int)len - 1, name);
		struct tensor v = w.file[0].entry[i].value, g = tensor_in(&w, g_name);
		int64_t width = tensor_count(v) / v.dim[0];
		assert_int_equal(tensor_count(g), v.dim[0]);
		for (int64_t r = 0; r < v.dim[0]; r++) {
			double sum = 0;
			for (int64_t k = 0; k < width; k++)
				sum += pow((double)((float *)v.data)[r * width + k], 2);
			assert_true(fabs(sqrt(sum) - (double)((float *)g.data)[r]) <=
				    1e-6 * sqrt(sum));
		}
		pairs++;
	}
	assert_true(pairs > 100);
	mel_close(mel);
	weights_close(&w);
	free(folder);
	free(a);
	assert_ok(file_remove_tree(dir));
}

static void
what_is_there_is_left_alone(void **state)
{
	const char *dir = golden_tmp();
	char *a = file_path("%s/a", dir), *other = file_path("%s/other", dir),
	     *file = file_path("%s/other/notes.txt", dir);
	char *link = file_path("%s/link", dir), *twin = file_path("%s/twin", dir);
	struct init_model_job job = tiny;

	(void)state;
	assert_ok(make(a, job));
	assert_ok(make(twin, job));
	job.seed = 9;
	assert_int_equal(make(a, job), ACE_ECREATE);
	assert_non_null(strstr(ace_message(), "holds a model already"));
	assert_int_equal(differing(a, twin), 0);
	assert_int_equal(mkdir(other, 0755), 0);
	assert_ok(file_write(file, "mine", 4));
	assert_int_equal(make(other, job), ACE_ECREATE);
	assert_non_null(strstr(ace_message(), "notes.txt"));
	assert_int_equal(make(file, job), ACE_ECREATE);
	assert_int_equal(symlink("nowhere", link), 0);
	assert_int_equal(make(link, job), ACE_ECREATE);
	assert_int_equal(make("", job), ACE_EUSAGE);
	assert_int_equal(make("/proc", job), ACE_ECREATE);
	assert_int_equal(entries(other), 1);
	assert_int_equal(entries(dir), 4);
	free(a);
	free(other);
	free(file);
	free(link);
	free(twin);
	assert_ok(file_remove_tree(dir));
}

static void
the_rest_of_a_killed_run_is_replaced_and_nothing_else(void **state)
{
	const char *dir = golden_tmp();
	char *a = file_path("%s/a", dir), *part = file_path("%s/a.part", dir),
	     *rest = file_path("%s/a.part/umt5-base", dir);
	char *mine = file_path("%s/a.part/mine", dir);
	int fd;

	(void)state;
	assert_ok(file_mkdirs(rest));
	fd = open(part, O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(make(a, tiny), ACE_ECREATE); /* someone is at it */
	assert_non_null(strstr(ace_message(), "another ace-init-model"));
	close(fd);
	assert_ok(file_write(mine, "x", 1));
	assert_int_equal(make(a, tiny), ACE_ECREATE);
	assert_non_null(strstr(ace_message(), "not ours (mine)"));
	assert_true(file_exists(mine) && file_is_dir(rest));
	assert_int_equal(unlink(mine), 0);
	assert_ok(make(a, tiny));
	assert_int_equal(entries(dir), 1);
	free(a);
	free(part);
	free(rest);
	free(mine);
	assert_ok(file_remove_tree(dir));
}

/* In a child, whose limits are its own. bytes: the largest file it may write, 0 any. */
static enum status
make_with_limit(const char *dir, rlim_t bytes, bool forbidden)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct rlimit l = { bytes, bytes };
		signal(SIGXFSZ, SIG_IGN);
		if ((bytes && setrlimit(RLIMIT_FSIZE, &l) != 0) ||
		    (forbidden && geteuid() == 0 && seteuid(65534) != 0))
			_exit(99);
		_exit((int)make(dir, tiny));
	}
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status));
	return (enum status)WEXITSTATUS(status);
}

static void
a_full_disk_or_a_closed_folder_leaves_nothing(void **state)
{
	const char *dir = golden_tmp();
	char *a = file_path("%s/a", dir), *below = file_path("%s/b/c", dir);
	static const rlim_t limits[] = {
		1, 300, 4096, 2400000, 5000000
	}; /* in a configuration, a header, each part's data */

	(void)state;
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		assert_int_equal(make_with_limit(a, limits[i], false), ACE_EIO);
		assert_int_equal(entries(dir), 0);
	}
	assert_int_equal(chmod(dir, 0555), 0);
	assert_int_equal(make_with_limit(a, 0, true), ACE_ECREATE);
	assert_int_equal(make_with_limit(below, 0, true), ACE_ECREATE);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(entries(dir), 0);
	free(a);
	free(below);
	assert_ok(file_remove_tree(dir));
}

static void
when_asked_to_stop_nothing_is_kept(void **state)
{
	const char *dir = golden_tmp();
	char *a = file_path("%s/a", dir);

	(void)state;
	stop_setup(10);
	stop_now();
	assert_int_equal(make(a, tiny), ACE_ESTOPPED);
	assert_int_equal(entries(dir), 0);
	stop_setup(10);
	assert_ok(make(a, tiny));
	free(a);
	assert_ok(file_remove_tree(dir));
}

static void
presets_are_known_by_name(void **state)
{
	enum dtype t;

	(void)state;
	assert_ok(init_model_dtype("tiny", &t));
	assert_int_equal(t, F32);
	assert_ok(init_model_dtype("3.5b", &t));
	assert_int_equal(t, BF16);
	assert_int_equal(init_model_dtype("3.5B", &t), ACE_EUSAGE);
	assert_null(init_sizes_of("large"));
}

/* --- against the lists of the published parts, where they are at hand --- */

static cJSON *
published(const char *name)
{
	const char *top = getenv("top_srcdir"), *design = getenv("ACE_DESIGN"), *fixtures = getenv("ACE_FIXTURES");
	char *path = design ? file_path("%s/%s.tensors.json", design, name)
			    : file_path("%s/../design/%s.tensors.json", fixtures ? fixtures : "", name);
	cJSON *root = NULL;

	if (!design && !file_exists(path)) {
		free(path);
		path = file_path("%s/../shared/design/%s.tensors.json", top ? top : ".", name);
	}
	if (!file_exists(path)) {
		print_message("# SKIP %s is not there\n", path);
		free(path);
		skip();
		return NULL;
	}
	assert_ok(json_read(path, 1 << 24, &root));
	free(path);
	return root;
}

static const cJSON *
shape_of(const cJSON *tensor)
{
	return cJSON_GetObjectItem(tensor, "shape");
}

static const char *
name_of(const cJSON *tensor)
{
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(tensor, "name"));

	return name ? name : tensor->string; /* a list of objects, or an object of them */
}

/* How many tensors the list wants that l has not: each is said. change: of a dimension; skip: names
 * to leave out. */
static int
compare(const cJSON *tensors, const struct init_list *l, int64_t (*change)(int64_t),
	bool (*left_out)(const char *), int *wanted)
{
	const cJSON *t;
	int bad = 0;

	*wanted = 0;
	cJSON_ArrayForEach(t, tensors)
	{
		const struct init_tensor *found = NULL;
		bool same;
		if (left_out && left_out(name_of(t)))
			continue;
		++*wanted;
		for (int i = 0; i < l->n && !found; i++)
			if (strcmp(l->v[i].name, name_of(t)) == 0)
				found = &l->v[i];
		same = found && found->rank == cJSON_GetArraySize(shape_of(t));
		for (int i = 0; same && i < found->rank; i++) {
			int64_t want = (int64_t)cJSON_GetArrayItem(shape_of(t), i)->valuedouble;
			same = found->dim[i] == (change ? change(want) : want);
		}
		if (!same)
			print_message("# %s is %s\n", name_of(t),
				      found ? "of another shape" : "missing");
		bad += !same;
	}
	return bad;
}

static void
the_full_sizes_are_the_published_tensors(void **state)
{
	static const char *const names[] = { "ace_step_3.5b", "music_dcae_f8c8", "music_vocoder",
					     "umt5_base" };
	const struct init_sizes *s = init_sizes_of("3.5b");

	(void)state;
	for (int i = 0; i < 4; i++) {
		cJSON *root = published(names[i]), *config, *member;
		const cJSON *v;
		struct init_list l = { 0 };
		int wanted;
		switch (i) {
		case 0:
			init_dit(&l, s);
			config = init_dit_config(s);
			break;
		case 1:
			init_dcae(&l, s);
			config = init_dcae_config(s);
			break;
		case 2:
			init_vocoder(&l, s, NULL, NULL);
			config = init_vocoder_config(s);
			break;
		default: init_umt5(&l, s); config = init_umt5_config(s, BF16);
		}
		assert_int_equal(
			compare(cJSON_GetObjectItem(root, "tensors"), &l, NULL, NULL, &wanted), 0);
		assert_int_equal(l.n, wanted);
		cJSON_ArrayForEach(v, cJSON_GetObjectItem(root, "config"))
		{
			member = cJSON_GetObjectItem(config, v->string);
			if (strcmp(v->string, "_diffusers_version") != 0 &&
			    !cJSON_Compare(member, v, true))
				fail_msg("%s: %s is not as published", names[i], v->string);
		}
		cJSON_Delete(config);
		cJSON_Delete(root);
		init_list_free(&l);
	}
}

/* Of width 256 in place of 2560; the lyric encoder, 1024 and 4096, and what goes in stay. */
static int64_t
small_size(int64_t n)
{
	return n == 2560 || n == 5120 || n == 6400 || n == 12800 || n == 15360 ? n / 10 : n;
}

static bool
not_in_small(const char *name)
{
	int block;

	return sscanf(name, "transformer_blocks.%d.", &block) == 1 && block >= 4;
}

static void
small_is_the_full_model_with_four_narrow_blocks(void **state)
{
	cJSON *root = published("ace_step_3.5b"), *config = init_dit_config(init_sizes_of("small"));
	struct init_list l = { 0 };
	int wanted;

	(void)state;
	init_dit(&l, init_sizes_of("small"));
	assert_int_equal(compare(cJSON_GetObjectItem(root, "tensors"), &l, small_size, not_in_small,
				 &wanted),
			 0);
	assert_int_equal(l.n, wanted);
	assert_int_equal(cJSON_GetObjectItem(config, "num_layers")->valueint, 4);
	assert_int_equal(cJSON_GetObjectItem(config, "num_attention_heads")->valueint, 4);
	assert_int_equal(cJSON_GetObjectItem(config, "attention_head_dim")->valueint, 64);
	assert_int_equal(cJSON_GetObjectItem(config, "text_embedding_dim")->valueint, 768);
	cJSON_Delete(config);
	cJSON_Delete(root);
	init_list_free(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_gives_the_same_bytes_whatever_the_threads),
		cmocka_unit_test(bf16_is_the_rounded_fp32),
		cmocka_unit_test(numbers_follow_their_rules),
		cmocka_unit_test(any_range_of_a_tensor_is_a_part_of_it),
		cmocka_unit_test(the_vocoder_has_the_mel_buffers_and_normed_weights),
		cmocka_unit_test(what_is_there_is_left_alone),
		cmocka_unit_test(the_rest_of_a_killed_run_is_replaced_and_nothing_else),
		cmocka_unit_test(a_full_disk_or_a_closed_folder_leaves_nothing),
		cmocka_unit_test(when_asked_to_stop_nothing_is_kept),
		cmocka_unit_test(presets_are_known_by_name),
		cmocka_unit_test(the_full_sizes_are_the_published_tensors),
		cmocka_unit_test(small_is_the_full_model_with_four_narrow_blocks),
	};

	msg_setup("init_model", MSG_QUIET, PROGRESS_NONE, 10);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
