#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Clips that are rendered while training: which, when, what is beside them, and that the run is the same with them as without.
build=$(cd "${top_builddir:-.}" && pwd)
bin=$build/src/tools
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-train-validation-XXXXXX") || exit 99
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2> /dev/null; rm -rf "$tmp"' EXIT
cd "$tmp" || exit 99
unset ENV CONFIG_PATH OUTPUT_DIR MODEL_NAME TRAINER_EXTRA_ARGS MIXED_PRECISION TRAINING_SEED VALIDATION_PROMPT VALIDATION_STEPS \
	VALIDATION_SEED VALIDATION_GUIDANCE
export OMP_NUM_THREADS=1
"$bin/ace-init-model" tiny model --quiet && "$bin/ace-demo-songs" songs > log 2>&1 || exit 99

stores='cache_dir_vae=cache/vae/{id} cache_dir_text=cache/text'
train="model=model dataset=songs device=cpu max_train_steps=6 learning_rate=1e-2 lora_rank=4 optimizer=torch-adamw mixed_precision=no $stores"
clips="validation_audio_duration=3 validation_num_inference_steps=3 erg_lyric_layers=0-0 erg_diffusion_blocks=1-2"
# shellcheck disable=SC2086
"$bin/ace-preprocess" model=model dataset=songs device=cpu $stores > log 2>&1 || exit 99

n=0
ok() {
	n=$((n + 1))
	echo "ok $n - $1"
}
not_ok() {
	n=$((n + 1))
	sed 's/^/# /' log
	echo "not ok $n - $1"
}
check() { # STATUS SENTENCE
	if [ "$1" -eq 0 ]; then ok "$2"; else not_ok "$2"; fi
}
# expect CODE "text that must be said" "sentence" options ...
expect() {
	code=$1 text=$2 sentence=$3
	shift 3
	# shellcheck disable=SC2086
	"$bin/ace-train" $train $clips "$@" > out.txt 2> log
	got=$?
	if [ $got -eq "$code" ] && grep -qF -- "$text" log; then
		ok "$sentence"
	else
		echo "# exit $got, wanted $code and \"$text\""
		not_ok "$sentence"
	fi
}
made() { # FOLDER: the names of its clips
	(cd "$1/validation_audio" 2> /dev/null && ls -- *.wav | LC_ALL=C sort | tr '\n' ' ')
}
is() { # GOT WANTED SENTENCE
	[ "$1" = "$2" ] || echo "# got \"$1\", wanted \"$2\""
	[ "$1" = "$2" ]
	check $? "$3"
}
lora=pytorch_lora_weights.safetensors

expect 0 "done" "without a prompt nothing is rendered" output_dir=plain validation_steps=2
[ ! -e plain/validation_audio ]
check $? "and there is no folder for it"
expect 0 "batch      epoch 1, number 1, " "the songs of batches" output_dir=named print_filenames=true train_batch_size=2
grep -A 2 "^batch " log | grep '^           ' | sed 's/^ *//' | sort -u > names
(cd songs && ls) > all
[ "$(grep -c '^batch .*: 2 clips$' log)" -ge 3 ] && [ "$(grep -cxFf all names)" -eq "$(wc -l < names)" ] && [ "$(wc -l < names)" -ge 4 ]
check $? "are said by their names"
expect 0 "validation step 4: 2 clips" "a prompt is rendered" output_dir=run validation_prompt="slow jazz" validation_lyrics="[verse]
la la la" validation_steps=2
is "$(made run)" "step_2_unconditional_0.wav step_2_validation_0.wav step_4_unconditional_0.wav step_4_validation_0.wav step_6_unconditional_0.wav step_6_validation_0.wav " \
	"every so many updates, and one without a prompt"
cmp -s plain/$lora run/$lora
check $? "the adapter is the same, bit for bit, as without"
cmp -s run/validation_audio/step_2_validation_0.wav run/validation_audio/step_4_validation_0.wav
[ $? -eq 1 ]
check $? "what is heard changes with the adapter"
grep -q '"prompt":.*"slow jazz"' run/validation_audio/step_2_validation_0.json &&
	grep -q 'la la la' run/validation_audio/step_2_validation_0.json && grep -q '"guidance":.*4' run/validation_audio/step_2_validation_0.json
check $? "what a clip was made from is beside it"

# the clip of the last update is what ace-generate makes with the adapter
# shellcheck disable=SC2086
"$bin/ace-generate" model=model device=cpu prompt="slow jazz" lyrics="[verse]
la la la" duration=3 steps=3 lora=run mixed_precision=no erg_lyric_layers=0-0 erg_diffusion_blocks=1-2 output=again.wav 2> log
cmp -s again.wav run/validation_audio/step_6_validation_0.wav
check $? "ace-generate makes the very clip of the last update"

expect 0 "validation step 0" "before the first update" output_dir=start validation_prompt=jazz validation_on_startup=true \
	validation_disable_unconditional=true validate_after_step=0 validation_steps=100
is "$(made start)" "step_0_validation_0.wav " "where that is asked for"
expect 0 "done" "not before an update" output_dir=after validation_prompt=jazz validation_steps=2 validate_after_step=5 \
	validation_disable_unconditional=true
is "$(made after)" "step_6_validation_0.wav " "that was named"
echo '{"piano": "calm piano", "song": {"tags": "rock", "lyrics": "[verse]\nla"}}' > library.json
expect 0 "done" "a library of prompts" output_dir=library user_prompt_library=library.json validation_steps=6
is "$(made library)" "step_6_piano_0.wav step_6_song_0.wav step_6_unconditional_0.wav " "is rendered by its names"
echo '{"as-is": "rock", "half": {"prompt": "rock", "adapter_strength": 0.5}, "without": {"tags": "rock", "adapter_strength": 0}}' > strengths.json
expect 0 "done" "a library of prompts with strengths" output_dir=strengths user_prompt_library=strengths.json validation_steps=6 \
	validation_disable_unconditional=true
is "$(cd strengths/validation_audio && md5sum -- *.wav | cut -d ' ' -f 1 | sort -u | wc -l)" 3 "is heard with the adapter at each strength"
cmp -s plain/$lora strengths/$lora
check $? "and the run is the same"
for f in alone lora; do
	# shellcheck disable=SC2046,SC2086
	"$bin/ace-generate" model=model device=cpu prompts=strengths.json duration=3 steps=3 $([ $f = alone ] || echo lora=strengths) \
		mixed_precision=no erg_lyric_layers=0-0 erg_diffusion_blocks=1-2 seed=42 output=made-$f 2> log
done
cmp made-alone/as-is.wav strengths/validation_audio/step_6_without_0.wav && cmp made-lora/as-is.wav strengths/validation_audio/step_6_as-is_0.wav
check $? "at strength 0 it is the model without the adapter"
cmp made-alone/without.wav made-lora/without.wav && cmp -s made-alone/half.wav made-lora/half.wav
[ $? -eq 1 ]
check $? "ace-generate takes such a library as well"
# the list that comes with the programs
expect 0 "done" "the general library" output_dir=general validation_prompt_library=true validation_steps=6 \
	validation_num_inference_steps=1 validation_disable_unconditional=true
is "$(made general | wc -w)" 12 "has twelve prompts"
expect 0 "done" "the general library" output_dir=audio validation_prompt_library=audio validation_steps=6 \
	validation_num_inference_steps=1 validation_disable_unconditional=true
is "$(made audio)" "$(made general)" "is the one for sound"
expect 66 "none.json: no such file" "a general library of one's own that is not there" output_dir=x validation_prompt_library=none.json
expect 78 'two prompts for validation are called "piano"' "two prompts of one name" output_dir=x validation_prompt_library=library.json \
	user_prompt_library=library.json
echo '{"a": {"prompt": "b", "adapter_strength": "c"}}' > bad.json
expect 65 'adapter_strength of "a": wanted a number' "a strength that is none" output_dir=x user_prompt_library=bad.json

# what the model makes without what trains
expect 0 "without what trains: 3 clips" "the model without what trains" output_dir=based user_prompt_library=strengths.json validation_steps=6 \
	validation_disable_unconditional=true disable_benchmark=false init_lora=library max_train_steps=8 init_lora_step=0
is "$(cd based/benchmarks && ls -d ./* && cd base_model && ls -- *.wav | LC_ALL=C sort | tr '\n' ' ')" "./base_model
as-is_0.wav half_0.wav without_0.wav " "is heard once, by the names of the prompts"
cmp made-alone/as-is.wav based/benchmarks/base_model/as-is_0.wav && cmp made-alone/as-is.wav based/benchmarks/base_model/half_0.wav
check $? "is what ace-generate makes without an adapter, whatever the run began with"
touch -d "2001-01-01" based/benchmarks/base_model/as-is_0.wav
expect 0 "resuming" "gone on with" output_dir=based user_prompt_library=strengths.json validation_steps=6 \
	validation_disable_unconditional=true disable_benchmark=false init_lora=library max_train_steps=12
[ "$(find based/benchmarks -newermt 2002-01-01 -name as-is_0.wav)" = "" ]
check $? "it stays"
# shellcheck disable=SC2086
"$bin/ace-train" $train $clips output_dir=based-plain init_lora=library init_lora_step=0 max_train_steps=12 > out.txt 2> log
cmp based-plain/$lora based/$lora
check $? "and the run is the same"

# the clips of the batch
expect 0 "2 clips of the batch" "the clips of the batch" output_dir=batch validation_on_batch=true validation_steps=3 train_batch_size=2 \
	validation_disable_unconditional=true
(cd batch/eval_results/step_3 && [ "$(ls | cut -d _ -f 1 | sort | uniq -c | tr -d ' \n')" = 2key2pred2target ]) && [ ! -e batch/validation_audio ]
check $? "are rendered alone without a prompt, and what they were, and of what"
key=$(ls batch/eval_results/step_3 | sed -n 's/^pred_wav_\(.*\)_1\.wav$/\1/p')
grep -A 2 '^# KEY' "batch/eval_results/step_3/key_prompt_lyric_${key}_1.txt" | grep -q "${key%_*}" &&
	grep -A 2 '^# PROMPT' "batch/eval_results/step_3/key_prompt_lyric_${key}_1.txt" | tail -n 1 | grep -qxF "$(head -n 1 "songs/${key%.*}.txt")"
check $? "by their names and captions"
# shellcheck disable=SC2086
"$bin/ace-train" $train $clips output_dir=batch-plain train_batch_size=2 > out.txt 2> log
cmp batch-plain/$lora batch/$lora
check $? "the run is the same"
# shellcheck disable=SC2086
"$bin/ace-train" $train $clips output_dir=batch-more validation_on_batch=true validation_steps=3 train_batch_size=2 \
	validation_prompt=jazz validation_on_startup=true validate_after_step=0 > out.txt 2> log
diff -r batch/eval_results/step_6 batch-more/eval_results/step_6 > log 2>&1 && [ -e batch-more/eval_results/step_0 ] &&
	[ -e batch-more/validation_audio/step_0_validation_0.wav ]
check $? "and so are they beside prompts, and before the first update"
expect 78 "vae_cache_disable keeps none" "no latents to read again" output_dir=x validation_on_batch=true vae_cache_disable=true

# another adapter beside those that train: what ace-generate makes with both
expect 0 "validation step 6: 2 clips" "another adapter beside those that train" output_dir=beside validation_prompt="slow jazz" \
	validation_steps=6 validation_disable_unconditional=true use_ema=true validation_adapter_path=library validation_adapter_strength=0.5
cmp -s plain/$lora beside/$lora && [ ! -e beside/validation_adapter.part ]
check $? "leaves the run as it is, and nothing behind"
cmp -s beside/validation_audio/step_6_validation_0.wav beside/validation_audio/step_6_validation_ema_0.wav
[ $? -eq 1 ] && grep -q '"validation_adapter_strength":.*0.5' beside/validation_audio/step_6_validation_0.json
check $? "is heard beside the values and beside their averages"
for f in lora=beside,library:0.5 lora=beside; do
	# shellcheck disable=SC2086
	"$bin/ace-generate" model=model device=cpu prompt="slow jazz" duration=3 steps=3 $f mixed_precision=no \
		erg_lyric_layers=0-0 erg_diffusion_blocks=1-2 output=again-$f.wav 2> log
done
cmp again-lora=beside,library:0.5.wav beside/validation_audio/step_6_validation_0.wav && ! cmp -s again-lora=beside,library:0.5.wav again-lora=beside.wav
check $? "is heard as ace-generate has both"
expect 0 "validation step 6: 2 clips" "another adapter in comparison" output_dir=compared validation_prompt="slow jazz" validation_steps=6 \
	validation_disable_unconditional=true validation_adapter_path=library validation_adapter_strength=0.5 validation_adapter_mode=comparison
is "$(made compared)" "step_6_validation_0.wav step_6_validation_adapter_0.wav " "is heard beside the clips without it"
cmp compared/validation_audio/step_6_validation_adapter_0.wav beside/validation_audio/step_6_validation_0.wav &&
	cmp compared/validation_audio/step_6_validation_0.wav again-lora=beside.wav && cmp compared/$lora plain/$lora
check $? "each as it is alone"
expect 0 "done" "another adapter with a name" output_dir=called validation_prompt="slow jazz" validation_steps=6 \
	validation_disable_unconditional=true validation_adapter_path=library validation_adapter_name=a/b
is "$(made called)" "step_6_validation_a_b_0.wav " "is called by it"
expect 0 "done" "no other adapter" output_dir=modeless validation_prompt="slow jazz" validation_steps=6 validation_disable_unconditional=true \
	validation_adapter_path=nowhere validation_adapter_mode=none
cmp modeless/validation_audio/step_6_validation_0.wav again-lora=beside.wav && [ "$(made modeless | wc -w)" -eq 1 ]
check $? "where the mode says so"
cat > runs.json <<'END'
{"runs": [{"label": "weak", "path": "library", "strength": 0.5},
	{"adapter_name": "two", "strength": 0.25, "adapters": ["library", {"path": "strengths/pytorch_lora_weights.safetensors", "strength": 2}]},
	"strengths"]}
END
expect 0 "validation step 6: 3 clips" "several runs of other adapters" output_dir=several validation_prompt="slow jazz" validation_steps=6 \
	validation_disable_unconditional=true validation_adapter_config=runs.json
is "$(made several)" "step_6_validation_3_0.wav step_6_validation_two_0.wav step_6_validation_weak_0.wav " "are called by their labels"
# shellcheck disable=SC2086
"$bin/ace-generate" model=model device=cpu prompt="slow jazz" duration=3 steps=3 lora=several,library:0.25,strengths:2 mixed_precision=no \
	erg_lyric_layers=0-0 erg_diffusion_blocks=1-2 output=again-two.wav 2> log
cmp several/validation_audio/step_6_validation_weak_0.wav beside/validation_audio/step_6_validation_0.wav &&
	cmp again-two.wav several/validation_audio/step_6_validation_two_0.wav && cmp several/$lora plain/$lora &&
	grep -q '"validation_adapters"' several/validation_audio/step_6_validation_two_0.json
check $? "each is heard as ace-generate has it"
expect 78 "two runs are called" "runs of one name" output_dir=x validation_prompt=jazz \
	validation_adapter_config='[{"label": "a", "path": "library"}, {"label": "a", "path": "library"}]'
expect 78 '"a" names no adapter' "a run of none" output_dir=x validation_prompt=jazz validation_adapter_config='[{"label": "a"}]'
expect 78 "exclude each other" "one and several" output_dir=x validation_prompt=jazz validation_adapter_config=runs.json \
	validation_adapter_path=library
expect 66 "owner/none: " "one that is not in the hub's cache" output_dir=x validation_prompt=jazz validation_adapter_path=owner/none:x.safetensors
expect 66 "validation_adapter_path=none: no such file" "another adapter that is not there" output_dir=x validation_prompt=jazz \
	validation_adapter_path=none
expect 66 "validation_adapter_config=none.json: no such file" "a list of runs that is not there" output_dir=x validation_prompt=jazz \
	validation_adapter_config=none.json
expect 65 "songs/" "a file that is no adapter" output_dir=x validation_prompt=jazz validation_adapter_path="$(echo songs/* | cut -d ' ' -f 1)"
expect 78 "validation_adapter_path needs model_type=lora" "the whole model and another adapter" output_dir=x validation_prompt=jazz \
	validation_adapter_path=library model_type=full

expect 0 "done" "averages of the weights" output_dir=ema validation_prompt=jazz validation_steps=6 use_ema=true \
	validation_disable_unconditional=true
is "$(made ema)" "step_6_validation_0.wav step_6_validation_ema_0.wav " "are rendered as well"
cmp -s ema/validation_audio/step_6_validation_0.wav ema/validation_audio/step_6_validation_ema_0.wav
[ $? -eq 1 ]
check $? "and are heard"
cmp -s plain/$lora ema/$lora
check $? "the run is the same"
expect 0 "done" "averages alone" output_dir=only validation_prompt=jazz validation_steps=6 use_ema=true ema_validation=ema_only \
	validation_disable_unconditional=true
is "$(made only)" "step_6_validation_ema_0.wav " "where that is asked for"

expect 0 "done" "events for TensorBoard" output_dir=events validation_prompt=jazz validation_steps=3 report_to=tensorboard \
	validation_disable_unconditional=true
is "$(cat events/logs/events.out.tfevents.* | tr -c '[:print:]' '\n' | grep -c '^audio/wav')" 2 "have the clips"

# stopped and gone on
# shellcheck disable=SC2086
"$bin/ace-train" $train $clips output_dir=stopped validation_prompt=jazz validation_steps=2 validation_num_inference_steps=1000 \
	log_interval=0 > out.txt 2> log &
pid=$!
while kill -0 $pid 2> /dev/null && ! grep -q '^validation 3/' log; do sleep 0.05; done
kill -USR1 $pid 2> /dev/null
wait $pid
got=$?
pid=
[ $got -eq 75 ] && grep -q 'validation broken off' log && [ -d stopped/checkpoint-2 ]
check $? "asked to stop while it renders, a run breaks off, saves and ends with 75"
expect 0 "done" "gone on with" output_dir=stopped validation_prompt=jazz validation_steps=2
cmp -s plain/$lora stopped/$lora
check $? "it gives the same adapter"

# a configuration as the questions of the Python trainer write it, and its list of data sets
mkdir -p config/theirs
cat > config/theirs/multidatabackend.json <<'END'
[{"id": "songs", "type": "local", "dataset_type": "audio", "instance_data_dir": "songs", "caption_strategy": "textfile",
	"metadata_backend": "discovery", "disabled": false, "cache_dir_vae": "cache/vae/{model_family}/songs",
	"audio": {"bucket_strategy": "duration", "duration_interval": 3.0, "max_duration_seconds": 30}},
{"id": "texts", "dataset_type": "text_embeds", "default": true, "type": "local", "cache_dir": "cache/text/{model_family}"}]
END
cat > config/theirs/config.json <<'END'
{"--resume_from_checkpoint": "latest", "--data_backend_config": "config/theirs/multidatabackend.json", "--aspect_bucket_rounding": 2,
	"--seed": 42, "--minimum_image_size": 0, "--disable_benchmark": false, "--output_dir": "output/theirs", "--lora_type": "standard",
	"--lora_rank": 16, "--max_train_steps": 4, "--num_train_epochs": 0, "--checkpoint_step_interval": 2, "--checkpoints_total_limit": 5,
	"--hub_model_id": "x", "--push_to_hub": "true", "--tracker_project_name": "a", "--tracker_run_name": "b",
	"--report_to": "tensorboard", "--model_type": "lora", "--pretrained_model_name_or_path": "model", "--model_family": "ace_step",
	"--model_flavour": "base", "--train_batch_size": 1, "--gradient_checkpointing": "true", "--caption_dropout_probability": 0.1,
	"--resolution_type": "pixel_area", "--resolution": 1024, "--validation_seed": "42", "--validation_steps": 2,
	"--validation_resolution": "1024x1024", "--validation_guidance": 3.0, "--validation_guidance_rescale": "0.0",
	"--validation_num_inference_steps": "3", "--validation_prompt": "a song", "--validation_audio_duration": 3.0,
	"--validation_prompt_library": false, "--mixed_precision": "bf16", "--optimizer": "adamw_bf16", "--learning_rate": "1e-4",
	"--lr_scheduler": "polynomial", "--lr_warmup_steps": "1", "--base_model_precision": "int8-quanto",
	"--text_encoder_1_precision": "no_change", "--validation_torch_compile": "false", "--vae_cache_ondemand": true,
	"--text_cache_ondemand": true, "vae_enable_tiling": true, "vae_enable_slicing": true, "compress_disk_cache": true}
END
"$bin/ace-train" env=theirs device=cpu erg_lyric_layers=0-0 erg_diffusion_blocks=1-2 > out.txt 2> log
check $? "a configuration of the Python trainer runs as it is"
[ -e output/theirs/$lora ]
check $? "leaves an adapter"
is "$(made output/theirs)" "step_2_unconditional_0.wav step_2_validation_0.wav step_4_unconditional_0.wav step_4_validation_0.wav " \
	"and the clips that it asks for"

# what is missing is named before the training
cp -r model bare && rm -r bare/music_vocoder bare/music_dcae_f8c8
expect 66 "music_dcae_f8c8: no such folder; validation renders with it" "a decoder that is not there" output_dir=x model=bare \
	override_dataset_config=true validation_prompt=jazz
expect 66 "music_dcae_f8c8" "--check says it as well" output_dir=x model=bare override_dataset_config=true validation_prompt=jazz --check
expect 0 "done" "is not wanted without validation" output_dir=x model=bare override_dataset_config=true validation_prompt=jazz \
	validation_disable=true
expect 78 "erg_diffusion=false turns it off" "blocks that are not there" output_dir=y validation_prompt=jazz erg_diffusion_blocks=15-19
expect 66 "none.json: no such file" "a library that is not there" output_dir=y user_prompt_library=none.json
echo 1..$n
