/* SPDX-License-Identifier: Apache-2.0 */
/* ace-demo-songs DIR: six short pieces with captions and lyrics, for the demo and for tests; not
 * installed
 *
 * wav, flac, ogg and mp3, so that every reader is used; what this libsndfile cannot write becomes
 * flac, with a line. */
#include "audio/write.h"
#include "base/file.h"
#include "base/msg.h"
#include "tools/synth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct song {
	struct score score;
	enum audio_format format;
	const char *caption, *lyrics; /* lyrics NULL: instrumental */
} songs[] = {
	{ .score = { .name = "01-morning-train", .seconds = 6.0, .bpm = 120, .root = 60, .scale = "major",
	             .chords = "1645", .comp = PIANO, .lead = PLUCK, .melody = "135.6-5.31.2..5.",
	             .bass = "x.x.x.x.", .kick = "x...x...",
	             .snare = "..x...x.", .hat = "xxxxxxxx" },
	  .format = AUDIO_PCM16,
	  .caption = "pop, bright, piano, plucked guitar, drums, 120 bpm, happy",
	  .lyrics = "[verse]\n"
	            "The morning train is rolling in\n"
	            "A brand new day is about to begin\n"
	            "\n"
	            "[chorus]\n"
	            "Oh, take me home tonight\n" },
	{ .score = { .name = "02-night-rain", .seconds = 8.0, .bpm = 72, .root = 57, .scale = "minor",
	             .chords = "1634", .comp = STRINGS, .lead = PIANO, .melody = "5---3---4---2---",
	             .bass = "x......." },
	  .format = AUDIO_FLAC,
	  .caption = "ballad, slow, strings, piano, 72 bpm, sad, cinematic",
	  .lyrics = "[verse]\n"
	            "Rain is falling on the window pane\n"
	            "I will never hear your voice again\n" },
	{ .score = { .name = "03-paper-moon", .seconds = 6.5, .bpm = 96, .root = 62, .scale = "dorian",
	             .chords = "14", .comp = ORGAN, .lead = LEAD, .melody = "1.34-.7.5.4-3.1.",
	             .bass = "x..x..x.", .kick = "x..x....",
	             .snare = "....x...", .hat = "x.xxx.xx" },
	  .format = AUDIO_MP3,
	  .caption = "funk, organ, synth lead, syncopated bass, drums, 96 bpm, groovy",
	  .lyrics = "[verse]\n"
	            "Paper moon above the street\n"
	            "Everybody feel the beat\n"
	            "\n"
	            "[chorus]\n"
	            "Dance, dance, dance with me\n" },
	{ .score = { .name = "04-steel-road", .seconds = 5.0, .bpm = 144, .root = 52, .scale = "minor",
	             .chords = "1171", .comp = LEAD, .lead = LEAD, .melody = "1.1.3.1.5.4.3.2.",
	             .bass = "xxxxxxxx", .kick = "x.x.x.x.",
	             .snare = "..x...x.", .hat = "xxxxxxxx" },
	  .format = AUDIO_OGG,
	  .caption = "rock, fast, distorted lead, driving bass, drums, 144 bpm, energetic",
	  .lyrics = "[verse]\n"
	            "Fire on the road and steel in my hand\n"
	            "Nothing can stop us, we own this land\n" },
	{ .score = { .name = "05-lantern", .seconds = 7.5, .bpm = 84, .root = 65, .scale = "major",
	             .chords = "1425", .comp = PLUCK, .lead = STRINGS, .melody = "3---5---6-5-3---",
	             .bass = "x...x...", .hat = "x...x..." },
	  .format = AUDIO_FLAC,
	  .caption = "folk, acoustic, plucked strings, violin, 84 bpm, warm, calm",
	  .lyrics = "[verse]\n"
	            "Carry a lantern, carry a song\n"
	            "The night is deep but the road is not long\n" },
	{ .score = { .name = "06-circuit", .seconds = 5.0, .bpm = 128, .root = 55, .scale = "minor",
	             .chords = "1163", .comp = LEAD, .lead = PLUCK, .melody = "1353135313531353",
	             .bass = "x.xxx.xx", .kick = "x.x.x.x.",
	             .snare = "..x...x.", .hat = ".x.x.x.x" },
	  .format = AUDIO_PCM16,
	  .caption = "electronic, house, arpeggio, four on the floor, 128 bpm, instrumental" },
};

enum { N_SONGS = sizeof songs / sizeof *songs };

static enum status
write_text(const char *dir, const char *name, const char *ending, const char *text)
{
	char *path = file_path("%s/%s.%s", dir, name, ending);
	enum status st = path ? file_write(path, text, strlen(text))
			      : ace_fail(ACE_ENOMEM, "no memory for a path");

	free(path);
	return st;
}

static enum status
write_song(const char *dir, const struct song *g)
{
	enum audio_format format = g->format;
	const char *name = g->score.name;
	struct take t = { 0 };
	float *x = NULL;
	char *path;
	enum status st;

	if (!audio_can_write(format)) {
		msg_info("%s: this libsndfile writes no %s; flac instead", name,
			 audio_ending(format));
		format = AUDIO_FLAC;
	}
	path = file_path("%s/%s.%s", dir, name, audio_ending(format));
	if (path && synth_play(&t, &g->score) == 0)
		x = malloc((size_t)t.n * 2 * sizeof *x);
	if (x) {
		memcpy(x, t.x[0], (size_t)t.n * sizeof *x);
		memcpy(x + t.n, t.x[1], (size_t)t.n * sizeof *x);
		st = audio_write(path, x, 2, t.n, SYNTH_RATE, format);
	} else {
		st = ace_fail(ACE_ENOMEM, "no memory for %g s of music", g->score.seconds);
	}
	synth_free(&t);
	free(path);
	free(x);
	if (st == ACE_OK)
		st = write_text(dir, name, "txt", g->caption);
	if (st == ACE_OK && g->lyrics)
		st = write_text(dir, name, "lyrics", g->lyrics);
	return st;
}

int
main(int argc, char **argv)
{
	double seconds = 0;
	enum status st;

	msg_setup("ace-demo-songs", MSG_INFO, PROGRESS_NONE, 0);
	if (argc != 2 || *argv[1] == '-') {
		fprintf(stderr, "usage: ace-demo-songs DIR\n");
		return status_exit_code(ACE_EUSAGE);
	}
	st = file_mkdirs(argv[1]);
	for (int i = 0; i < N_SONGS && st == ACE_OK; i++) {
		st = write_song(argv[1], &songs[i]);
		seconds += songs[i].score.seconds;
	}
	if (st)
		msg_error("%s", ace_message());
	else
		printf("%d pieces, %g s in all -> %s\n", N_SONGS, seconds, argv[1]);
	return status_exit_code(st);
}
