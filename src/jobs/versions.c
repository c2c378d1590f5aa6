/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/versions.h"

#include "audio/decode.h"

#include <cblas.h>
#include <cjson/cJSON.h>
#include <hdf5.h>
#include <sndfile.h>
#include <stdio.h>
#include <string.h>
#include <unicode/uversion.h>
#ifdef HAVE_FFMPEG
#include <libavformat/avformat.h>
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

int
versions_get(struct version v[VERSIONS_MOST])
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
	at = next(v, &n, "FFmpeg", "m4a aac alac wma and the rest");
#ifdef HAVE_FFMPEG
	snprintf(at->built, sizeof at->built, "%d.%d.%d", LIBAVFORMAT_VERSION_MAJOR, LIBAVFORMAT_VERSION_MINOR,
		 LIBAVFORMAT_VERSION_MICRO);
	sscanf(audio_decoders(NULL), "%*[^(](libavformat %127[^)]", at->run);
#endif
	at = next(v, &n, "ICU", "Unicode rules of the tokenizers");
	snprintf(at->built, sizeof at->built, "%s", U_ICU_VERSION);
	u_getVersion(icu);
	u_versionToString(icu, at->run);
	at = next(v, &n, "cJSON", "configuration and model files");
	snprintf(at->built, sizeof at->built, "%d.%d.%d", CJSON_VERSION_MAJOR, CJSON_VERSION_MINOR, CJSON_VERSION_PATCH);
	snprintf(at->run, sizeof at->run, "%s", cJSON_Version());
	return n;
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

	fprintf(out, "commit %s, compiler %s\n", *ACE_COMMIT ? ACE_COMMIT : "unknown", __VERSION__);
	fprintf(out, "built with: %s, devices cpu ref dry, asserts %s; without: CUDA, MPI, NCCL\n", threads,
#ifdef NDEBUG
		"off"
#else
		"on"
#endif
	);
	for (int i = 0; i < n; i++)
		fprintf(out, "%-11s %s%s%s  (%s)\n", v[i].name, *v[i].run ? v[i].run : "absent",
			*v[i].built ? ", built with " : "", v[i].built, v[i].what);
}
