/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/versions.h"

#include "audio/decode.h"
#include "comm/comm.h"

#include <cblas.h>
#include <cjson/cJSON.h>
#include <hdf5.h>
#include <sndfile.h>
#include <stdio.h>
#include <string.h>
#include <unicode/uversion.h>
#ifdef HAVE_FFMPEG
#include <libavutil/version.h>
#endif
#ifdef HAVE_CURL
#include <curl/curl.h>
/* linked into ace-fetch alone: NULL in the others */
#pragma weak curl_version_info
#endif

#ifndef ACE_COMMIT
#define ACE_COMMIT ""
#endif

/* openblas_get_config begins "OpenBLAS 0.3.21 ..." */
char *openblas_get_config(void);

static struct version *
next(struct version *v, int *n, const char *name, const char *what)
{
	struct version *at = &v[(*n)++];

	*at = (struct version){ .name = name, .what = what };
	return at;
}

static void
ffmpeg_version(struct version *at)
{
#ifdef HAVE_FFMPEG
	snprintf(at->built, sizeof at->built, "%d.%d.%d", LIBAVUTIL_VERSION_MAJOR, LIBAVUTIL_VERSION_MINOR,
		 LIBAVUTIL_VERSION_MICRO);
	snprintf(at->run, sizeof at->run, "%s", audio_ffmpeg_version());
#else
	(void)at;
#endif
}

/* What is loaded from the start; FFmpeg and MPI only when a file, a launcher or someone asks for them. */
static int
fill(struct version v[VERSIONS_MOST], bool ask_all)
{
	struct version *at;
	unsigned major, minor, release;
	UVersionInfo icu;
	int n = 0;

	at = next(v, &n, "OpenBLAS", "matrix products");
	sscanf(openblas_get_config(), "OpenBLAS %127[^ ]", at->run);
#ifdef OPENBLAS_VERSION
	sscanf(OPENBLAS_VERSION, " OpenBLAS %63[^ ]", at->built);
#endif
	at = next(v, &n, "HDF5", "stores");
	snprintf(at->built, sizeof at->built, "%d.%d.%d", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
	if (H5get_libversion(&major, &minor, &release) >= 0)
		snprintf(at->run, sizeof at->run, "%u.%u.%u", major, minor, release);
	at = next(v, &n, "libsndfile", "wav flac aiff ogg opus mp3");
	snprintf(at->run, sizeof at->run, "%s", sf_version_string() + strcspn(sf_version_string(), "0123456789"));
	if (ask_all) {
		ffmpeg_version(next(v, &n, "FFmpeg", "m4a aac alac wma and the rest"));
#ifdef HAVE_MPI
		comm_library(next(v, &n, "MPI", "runs over many ranks")->run);
#endif
	}
	at = next(v, &n, "ICU", "Unicode rules of the tokenizers");
	snprintf(at->built, sizeof at->built, "%s", U_ICU_VERSION);
	u_getVersion(icu);
	u_versionToString(icu, at->run);
	at = next(v, &n, "cJSON", "configuration and model files");
	snprintf(at->built, sizeof at->built, "%d.%d.%d", CJSON_VERSION_MAJOR, CJSON_VERSION_MINOR, CJSON_VERSION_PATCH);
	snprintf(at->run, sizeof at->run, "%s", cJSON_Version());
#ifdef HAVE_CURL
	if (curl_version_info) {
		at = next(v, &n, "libcurl", "HTTP");
		snprintf(at->built, sizeof at->built, "%s", LIBCURL_VERSION);
		snprintf(at->run, sizeof at->run, "%s", curl_version_info(CURLVERSION_NOW)->version);
	}
#endif
	return n;
}

int
versions_get(struct version v[VERSIONS_MOST])
{
	return fill(v, true);
}

int
versions_loaded(struct version v[VERSIONS_MOST])
{
	return fill(v, false);
}

const char *
versions_commit(void)
{
	return ACE_COMMIT;
}

const char *
versions_without(void)
{
	static const char without[] = ""
#ifndef HAVE_CUDA
		", CUDA"
#endif
#ifndef HAVE_MPI
		", MPI"
#endif
#ifndef HAVE_NCCL
		", NCCL"
#endif
		;

	return *without ? without + 2 : "";
}

void
versions_print(FILE *out)
{
	struct version v[VERSIONS_MOST];
	int n = versions_get(v);
	static const char threads[] =
#ifdef _OPENMP
		"OpenMP";
#else
		"one thread";
#endif
	static const char cuda[] =
#ifdef HAVE_CUDA
		"cuda ";
#else
		"";
#endif

	fprintf(out, "commit %s, compiler %s\n", *ACE_COMMIT ? ACE_COMMIT : "unknown", __VERSION__);
	fprintf(out, "built with: %s, devices %scpu ref dry, asserts %s; without: %s\n", threads, cuda,
#ifdef NDEBUG
		"off",
#else
		"on",
#endif
		*versions_without() ? versions_without() : "nothing");
	for (int i = 0; i < n; i++)
		fprintf(out, "%-11s %s%s%s  (%s)\n", v[i].name, *v[i].run ? v[i].run : "absent",
			*v[i].built ? ", built with " : "", v[i].built, v[i].what);
}
