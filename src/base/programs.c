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
	  .usage = "[--json] [--verify] THING ... | --memory [env=NAME] [key=value ...] | --system",
	  .about =
		"One line that says what THING is, then a table. --memory plans a training step by a dry run and takes "
		"the options of ace-train. --system looks at this machine and says what to do about what is missing.",
	  .examples =
		"ace-inspect out/pytorch_lora_weights.safetensors\nrank, scale, modules and norms of an adapter\n"
		"ace-inspect --memory env=my-songs train_batch_size=2\nwhat a step will need\n"
		"ace-inspect --system out\nis this machine fit, and can out be written to\n" },
	{ .name = "ace-fetch", .bit = OPT_FETCH, .min_words = 1, .max_words = 64,
	  .purpose = "bring models and data sets of the Hugging Face hub into its cache",
	  .usage = "THING ... [key=value ...]",
	  .about =
		"THING is OWNER/NAME of a model, datasets/OWNER/NAME, either with @REVISION behind it, or lyric-vocab, the "
		"vocabulary of the lyric tokenizer. Files go into the cache that the hub's own tools use (HF_HUB_CACHE, "
		"HF_HOME), in their layout: what one has fetched the other finds. Each is checked against its size and "
		"checksum. Cut connections and killed runs go on where they were.\n\n"
		"The folder is printed on the standard output. The other programs never use the network: fetch where there "
		"is one, train where there is none. A token for private or gated repositories comes from HF_TOKEN or the "
		"file that the hub's login writes; it is sent to the hub alone and never shown. HF_ENDPOINT names another "
		"hub, HF_HUB_OFFLINE=1 forbids the network, PIP_INDEX_URL names the index that has the package of the "
		"lyric vocabulary.",
	  .examples =
		"ace-fetch ACE-Step/ACE-Step-v1-3.5B lyric-vocab\nall that preparing and training need\n"
		"ace-fetch datasets/Yi3852/ACEStep-Songs include='data/*' connections=8\na data set, eight files at once\n"
		"ace-fetch --dry-run OWNER/NAME\nwhat would come, and how much it is\n" },
	{ .name = "ace-init-model", .bit = OPT_INIT_MODEL, .min_words = 2, .max_words = 2,
	  .purpose = "write a random model of a preset in the real folder layout",
	  .usage = "PRESET DIR [key=value ...]",
	  .about =
		"For demos, tests and measurements. PRESET is tiny, small or 3.5b, the full sizes; DIR must be new or an empty "
		"folder, and appears when the model in it is whole. The numbers follow from seed alone.\n\n"
		"Weights are fp32, those of 3.5b bf16, unless base_model_default_dtype is given. The tokenizers are "
		"small ones that read English captions and lyrics; their special tokens have the published ids.",
	  .examples =
		"ace-init-model small models/small\na model of four blocks that trains on a laptop\n"
		"ace-init-model 3.5b models/random seed=7\nthe full sizes, 7.7 GB\n" },
	{ .name = "ace-generate", .bit = OPT_GENERATE, .config = true,
	  .purpose = "make music from a prompt and lyrics, with adapters that were trained",
	  .usage = "model=MODEL prompt=TEXT [lyrics=FILE] [lora=FILE] [key=value ...]",
	  .about =
		"Encodes the prompt and the lyrics, samples a latent from noise of the seed, decodes it, and writes a stereo file, "
		"which appears when it is whole. The same seed and options give the same bytes, whatever the number of threads.\n\n"
		"The models are opened one after another: memory holds the text encoder, or the transformer, or the decoder. "
		"prompts=FILE makes several clips and opens each model once; clip k (from 0) has the noise of seed + k.\n\n"
		"Asked to stop, it ends with 75 after the step at hand; clips that were finished by then are written.",
	  .examples =
		"ace-generate model=MODEL prompt='folk, acoustic guitar' lyrics=song.txt duration=60 output=song.wav\n"
		"a minute of it\n"
		"ace-generate env=my-songs prompt='slow jazz' lora=out/my-songs:0.8 output=a.flac\nwith an adapter at four fifths of its "
		"strength\n"
		"ace-generate model=MODEL prompts=prompts.json output=clips write_settings=true\nseveral, each with a file that says how it "
		"was made\n" },
	{ .name = "ace-report", .bit = OPT_REPORT, .min_words = 1, .max_words = 1,
	  .purpose = "draw the curves of a training run",
	  .usage = "RUN [key=value ...]",
	  .about =
		"Reads RUN/logs/metrics.jsonl, which ace-train writes, and prints the curves of loss, learning rate, gradient "
		"norm and speed as text. RUN/report.html shows them with the settings that differ from the defaults and what "
		"happened on the way, and plays clips of validation that lie there; it needs no other file and no network. The curves are also there as SVG files.\n\n"
		"RUN may be a metrics.jsonl. Lines that cannot be read are passed over and counted; a run may go on meanwhile.",
	  .examples =
		"ace-report out/my-songs\nhow far is it\n"
		"ace-report out/my-songs report_file=/tmp/report.html\nwhen the run's folder must not be written to\n" },
	{ .name = "ace-import-hf", .bit = OPT_IMPORT, .min_words = 2, .max_words = 2,
	  .purpose = "turn a Hugging Face data set into a folder of songs, captions and lyrics",
	  .usage = "SRC DST [key=value ...]",
	  .about =
		"SRC is a folder that `datasets` saved to disk, a repository with Parquet, Arrow, JSON lines or CSV files, one with "
		"metadata.csv or metadata.jsonl beside its songs, one with tar shards, its folder in the hub cache, OWNER/NAME of "
		"that cache (ace-fetch brings it there), or one such file. Each row becomes NUMBER-KEY.mp3, .txt and .lyrics in "
		"DST, which ace-preprocess takes with dataset=DST; DST/index.jsonl says which row each came from.\n\n"
		"Killed and started again it goes on where it was. Rows that cannot be used are named with the reason, listed in "
		"DST/failures.jsonl and tried again by the next run; more of them than max_bad allows end the program with code "
		"65. Paths that leave the data set, links and oversized members of archives are refused.\n\n"
		"Parquet and Arrow files are read by Apache Arrow, where the build has it; tar shards by libarchive.",
	  .examples =
		"ace-import-hf Yi3852/ACEStep-Songs songs filter='score_lyrics>=5' limit=500\nfrom the hub cache, the better ones\n"
		"ace-import-hf Yi3852/ACEStep-Songs songs --fetch\nfrom the hub, in one command\n"
		"ace-import-hf zh_lora_dataset songs audio_root=/data\na set that upstream's converter wrote, with songs in /data\n"
		"ace-import-hf OWNER/NAME list --in-place\ncopy nothing: ace-preprocess data_backend_config=list/multidatabackend.json\n" },
	{ .name = "ace-convert-hf", .bit = OPT_CONVERT, .min_words = 2, .max_words = 2,
	  .purpose = "turn a folder of songs into a data set as Hugging Face's `datasets` saves it",
	  .usage = "SRC DST [key=value ...]",
	  .about =
		"For upstream's trainer and others that read such sets. Each song of SRC with NAME_prompt.txt or NAME.txt becomes a "
		"row with the columns keys, filename, tags, speaker_emb_path, norm_lyrics and recaption; lyrics come from "
		"NAME_lyrics.txt or NAME.lyrics. Names of files are written as SRC is given: give an absolute path when the set "
		"will be used elsewhere. Of a NAME.txt with several lines the first makes the tags, the others members of "
		"recaption.\n\n"
		"Songs without a caption are named and left out; more of them than max_bad allows end the program with code 65. DST "
		"must be new or empty and appears when all of it is written.",
	  .examples =
		"ace-convert-hf songs my-set\na row for each song\n"
		"ace-convert-hf /data/one-song set repeat_count=2000\nwhat upstream's guide does with a single song\n" },
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
