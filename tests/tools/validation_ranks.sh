#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Clips that are rendered while several ranks train, whatever each of them has of the model: the same clips, and the same run.
bin=$(cd "${top_builddir:-.}" && pwd)/src/tools
. "${top_srcdir:-.}/tests/support/ranks"
if no_mpiexec || "$bin/ace-train" --version | grep -q "no MPI"; then
	echo "1..0 # SKIP no mpiexec, or built without MPI"
	exit 0
fi
export OMP_NUM_THREADS=1
job=
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-validation-ranks-XXXXXX") || exit 99
trap '[ -z "$job" ] || kill -9 $(below "$job") "$job" 2> /dev/null; rm -rf "$tmp"' EXIT
cd "$tmp" || exit 99
unset ENV CONFIG_PATH OUTPUT_DIR MODEL_NAME TRAINER_EXTRA_ARGS MIXED_PRECISION TRAINING_SEED VALIDATION_PROMPT VALIDATION_STEPS \
	VALIDATION_SEED VALIDATION_GUIDANCE SLURM_JOB_END_TIME
"$bin/ace-init-model" tiny model --quiet && "$bin/ace-demo-songs" songs > log 2>&1 || exit 99
stores='cache_dir_vae=cache/vae/{id} cache_dir_text=cache/text'
# shellcheck disable=SC2086
"$bin/ace-preprocess" model=model dataset=songs device=cpu $stores > log 2>&1 || exit 99
common="model=model dataset=songs device=cpu max_train_steps=4 learning_rate=1e-2 lora_rank=4 optimizer=torch-adamw mixed_precision=no $stores
	validation_audio_duration=3 validation_num_inference_steps=3 erg_lyric_layers=0-0 erg_diffusion_blocks=1-2 validation_steps=2
	rank_patience=300"

n=0
result() { # STATUS SENTENCE
	n=$((n + 1))
	[ "$1" -eq 0 ] && echo "ok $n - $2" && return
	sed 's/^/# /' log
	echo "not ok $n - $2"
}
train() { # FOLDER OPTIONS...
	folder=$1
	shift
	# shellcheck disable=SC2086
	launch 2 "$bin/ace-train" $common output_dir="$folder" "$@" > out.txt 2> log
}
same() { # FOLDER FOLDER: clips of the same names and numbers
	[ "$(find "$1/validation_audio" -name '*.wav' | wc -l)" -eq "$3" ] || return
	for f in "$1"/validation_audio/*.wav; do
		cmp "$f" "$2/validation_audio/${f##*/}" || return
	done
}
lora=pytorch_lora_weights.safetensors

train plain sharding=full use_ema=true
result $? "ranks train with parts of the model"
# a negative prompt of another length takes a pass of its own
for sharding in none optimizer full; do
	train $sharding sharding=$sharding use_ema=true validation_prompt=jazz validation_negative_prompt="loud noise, and much of it" \
		validation_disable_unconditional=true && grep -q "validation step 4: 2 clips" log
	result $? "clips of values and averages are rendered with sharding=$sharding"
	same none $sharding 4 && cmp plain/$lora $sharding/$lora
	result $? "they are the same, and the adapter is that of a run without them, with sharding=$sharding"
done
cmp -s full/validation_audio/step_4_validation_0.wav full/validation_audio/step_4_validation_ema_0.wav
[ $? -eq 1 ]
result $? "averages sound otherwise"

# the first rank opens the whole transformer for another adapter
for sharding in none full; do
	train other-$sharding sharding=$sharding use_ema=true validation_prompt=jazz validation_disable_unconditional=true \
		validation_adapter_path=plain validation_adapter_strength=0.5 && cmp plain/$lora other-$sharding/$lora
	result $? "another adapter is heard beside those that train with sharding=$sharding, and the run is the same"
done
same other-none other-full 4 && ! cmp -s other-full/validation_audio/step_4_validation_0.wav full/validation_audio/step_4_validation_0.wav
result $? "with the same clips, which are others than without it"

for sharding in none full; do
	train batch-$sharding sharding=$sharding use_ema=true validation_on_batch=true && cmp plain/$lora batch-$sharding/$lora &&
		[ -e batch-$sharding/eval_results/step_4 ]
	result $? "the clips of the batch are heard with sharding=$sharding, and the run is the same"
done
diff -r batch-none/eval_results batch-full/eval_results
result $? "and they sound the same"

train words sharding=full use_ema=true text_cache_disable=true && cmp plain/$lora words/$lora && [ ! -e words/texts.part ]
result $? "captions that ranks encode for the run alone give the same, and do not stay"

# not clipped: the last bit of a norm depends on how gradients are parted
for sharding in none full; do
	train all-$sharding sharding=$sharding model_type=full max_grad_norm=0 learning_rate=1e-3 validation_prompt=jazz validation_disable_unconditional=true \
		validation_on_startup=true validate_after_step=0
	result $? "the whole model is trained with sharding=$sharding, and heard from the start"
done
same all-none all-full 3
result $? "with the same clips"

# asked to stop while it renders
# shellcheck disable=SC2086
launch 2 "$bin/ace-train" $common output_dir=stopped sharding=full use_ema=true validation_prompt=jazz validation_num_inference_steps=1000 \
	log_interval=0 > out.txt 2> log &
job=$!
while kill -0 $job 2> /dev/null && ! grep -q '^validation 3/' log; do sleep 0.05; done
kill -USR1 $(rank_of $job ace-train 0) 2> /dev/null
wait $job
code=$?
job=
[ $code -ne 0 ] && grep -q 'validation broken off' log && [ -d stopped/checkpoint-2 ]
result $? "asked to stop while they render, all ranks save"
train stopped sharding=full use_ema=true validation_prompt=jazz && cmp plain/$lora stopped/$lora
result $? "and go on to the same adapter"
echo 1..$n
