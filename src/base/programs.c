/* SPDX-License-Identifier: Apache-2.0 */
#include "base/programs.h"

#include "base/options.h"

#include <assert.h>
#include <string.h>

static const struct program programs[] = {
	{ .name = "ace-preprocess", .bit = OPT_PREPROCESS, .config = true,
	  .purpose = "turn songs, captions and lyrics into the stores that training reads",
	  .usage = "env=NAME [key=value ...]",
	  .about =
		"Reads the songs of a data set, encodes each into latents, each caption into text embeddings and each "
		"lyrics file into tokens, and keeps them in HDF5 stores with their provenance. What is in the stores "
		"already and still fits is kept; a run that was killed goes on where it was.\n\n"
		"Songs that cannot be used are named with the reason, listed in failures.jsonl and passed over; more "
		"of them than max_bad allows end the program with code 65.",
	  .examples =
		"ace-preprocess dataset=songs model=models/ACE-Step-v1-3.5B\na folder of songs, nothing else to write\n"
		"ace-preprocess env=my-songs\nwhat config/my-songs/config.json says\n" },
	{ .name = "ace-train", .bit = OPT_TRAIN, .config = true,
	  .purpose = "train adapters (LoRA) for ACE-Step on the stores of ace-preprocess",
	  .usage = "env=NAME [key=value ...]",
	  .about =
		"Trains, saves checkpoints while it goes, and goes on from the latest of them when it is started again. "
		"SIGUSR1 saves and stops, SIGUSR2 saves and goes on, SIGTERM saves and stops within grace seconds; "
		"stopping on request ends with code 75.\n\n"
		"At the end output_dir holds pytorch_lora_weights.safetensors, which readers of ACE-Step adapters load.",
	  .examples =
		"ace-train env=my-songs\nwhat config/my-songs/config.json says\n"
		"ace-train dataset=songs model=MODEL output_dir=out max_train_steps=500\nwithout a configuration file\n"
		"ace-train env=my-songs learning_rate=5e-5 --print-config\nshow every value and where it comes from\n" },
	{ .name = "ace-resume", .bit = OPT_RESUME, .config = true, .max_words = 1,
	  .purpose = "go on with a run of ace-train from its latest checkpoint",
	  .usage = "[RUN_DIR] [key=value ...]",
	  .about =
		"Reads RUN_DIR/effective.json, which ace-train wrote, and continues bit for bit. RUN_DIR may also be one "
		"checkpoint in it. Values on the command line take the place of those of the run.",
	  .examples =
		"ace-resume out/my-songs\ngo on from the latest checkpoint\n"
		"ace-resume out/my-songs max_train_steps=4000\ntrain longer than was planned\n" },
	{ .name = "ace-inspect", .bit = OPT_INSPECT, .also = OPT_TRAINING | OPT_PREPROCESS, .max_words = 64,
	  .config = true, .config_when = "memory",
	  .purpose = "show what is in a store, a checkpoint, a model, an adapter or a lyrics file",
	  .usage = "[--json] THING ... | --memory [env=NAME] [key=value ...] | --system",
	  .about =
		"One line that says what THING is, then a table. --memory plans a training step by a dry run and takes "
		"the options of ace-train. --system looks at this machine and says what to do about what is missing.",
	  .examples =
		"ace-inspect out/pytorch_lora_weights.safetensors\nrank, scale, modules and norms of an adapter\n"
		"ace-inspect --memory env=my-songs train_batch_size=2\nwhat a step will need\n"
		"ace-inspect --system out\nis this machine fit, and can out be written to\n" },
	{ .name = "ace-init-model", .bit = OPT_INIT_MODEL, .min_words = 2, .max_words = 2,
	  .purpose = "write a random model of a preset in the real folder layout",
	  .usage = "PRESET DIR [key=value ...]",
	  .about =
		"For demos, tests and measurements. PRESET is tiny, small or 3.5b; DIR must not hold a model yet. The "
		"numbers follow from seed alone.",
	  .examples = "ace-init-model small models/small\na model of four blocks that trains on a laptop\n" },
};

enum { N_PROGRAMS = sizeof programs / sizeof *programs };

int
programs_count(void)
{
	return N_PROGRAMS;
}

const struct program *
program_at(int i)
{
	assert(i >= 0 && i < N_PROGRAMS);
	return &programs[i];
}

const struct program *
program_named(const char *name)
{
	for (int i = 0; i < N_PROGRAMS; i++)
		if (strcmp(programs[i].name, name) == 0)
			return &programs[i];
	return NULL;
}
