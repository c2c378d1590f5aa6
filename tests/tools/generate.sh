#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ace-generate as a person calls it: a song from a prompt, lyrics and adapters; what it says, its exit codes, and its bytes.
build=$(cd "${top_builddir:-.}" && pwd)
bin=$build/src/tools
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-generate-XXXXXX") || exit 99
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2> /dev/null; rm -rf "$tmp"' EXIT
cd "$tmp" || exit 99
unset ENV CONFIG_PATH OUTPUT_DIR MODEL_NAME TRAINER_EXTRA_ARGS MIXED_PRECISION TRAINING_SEED
export OMP_NUM_THREADS=1
"$bin/ace-init-model" tiny model --quiet || exit 99
printf '[verse]\nhello there my friend\n\n[chorus]\nsing it with me\n' > song.txt

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
# the tiny model has few layers: the weakened ones are named
small="model=model device=cpu duration=3 steps=4 erg_lyric_layers=0-0 erg_diffusion_blocks=1-2"
# expect CODE "text that must be said" "sentence" options ...
expect() {
	code=$1 text=$2 sentence=$3
	shift 3
	# shellcheck disable=SC2086
	"$bin/ace-generate" $small "$@" > out.txt 2> log
	got=$?
	if [ $got -eq "$code" ] && grep -qF -- "$text" log && [ ! -s out.txt ]; then
		ok "$sentence"
	else
		echo "# exit $got, wanted $code and \"$text\""
		not_ok "$sentence"
	fi
}
same() { # A B SENTENCE
	cmp -s "$1" "$2"
	check $? "$3"
}
other() {
	[ -s "$1" ] && [ -s "$2" ] && ! cmp -s "$1" "$2"
	check $? "$3"
}
word() { # FILE OFFSET: a 32 bit number of a file
	od -An -tu4 -j "$2" -N 4 "$1" | tr -d ' '
}

# --- wrong use ---

expect 64 "wanted prompt=TEXT" "without a prompt it says what is wanted"
expect 64 "ends in .wav, .flac" "a name of another kind is refused" prompt=jazz output=x.txt
expect 64 "number from 3 to 240" "a length that cannot be is refused" prompt=jazz duration=1
expect 64 "euler, heun or pingpong" "a scheduler that is not there is refused" prompt=jazz scheduler=unipc
expect 64 "no scale" "a scale of an adapter that is no number is refused" prompt=jazz lora=model:loud
expect 66 "lora=none.safetensors: no such file" "an adapter that is not there is named" prompt=jazz lora=none.safetensors
expect 66 "lyrics=none.txt: no such file" "lyrics that are not there are named" prompt=jazz lyrics=none.txt
expect 66 "none.json: no such file" "prompts that are not there are named" prompts=none.json
expect 66 "nomodel" "a model that is not there is named" prompt=jazz model=./nomodel
expect 64 "exclude each other" "prompt and prompts exclude each other" prompt=jazz prompts=song.txt
expect 64 "go together" "two scales go together" prompt=jazz guidance_scale_text=3
expect 64 "numbers from 1 that rise" "chosen steps must rise" prompt=jazz oss_steps=3,2
expect 64 "not for heun" "and are not for heun" prompt=jazz oss_steps=2,3 scheduler=heun
expect 78 "it has 2" "layers that are not there are named, with what to do" prompt=jazz erg_lyric_layers=4-5
expect 78 "erg_diffusion=false turns it off" "and blocks" prompt=jazz erg_diffusion_blocks=15-19
[ -z "$(find . -name '*.part' -o -name '*.wav')" ]
check $? "nothing was written"

# --- a song ---

expect 0 "wrote      song.wav  0:03, 48 kHz, seed 42" "a prompt and lyrics become a song" prompt="slow jazz" lyrics=song.txt output=song.wav \
	write_latents=true write_settings=true
[ "$(word song.wav 24)" = 48000 ] && [ "$(od -An -tu2 -j 22 -N 2 song.wav | tr -d ' ')" = 2 ]
check $? "in stereo, at 48 kHz"
[ "$(wc -c < song.wav)" -gt 400000 ]
check $? "as long as was asked for"
grep -q '"prompt":.*"slow jazz"' song.json && grep -q '"steps":.*4' song.json && grep -q '"seed":.*42' song.json &&
	grep -q 'sing it with me' song.json
check $? "its settings are beside it"
expect 0 "wrote" "the same again" prompt="slow jazz" lyrics=song.txt output=again.wav threads=2
same song.wav again.wav "is the same, bit for bit, whatever the threads"
expect 0 "wrote" "lyrics may be the text itself" prompt="slow jazz" lyrics="$(cat song.txt)" output=text.wav
same song.wav text.wav "and give the same"
expect 0 "latent frames" "the latent alone" prompt="slow jazz" lyrics=song.txt output=latent.safetensors
same song.safetensors latent.safetensors "is the one that was written beside the song"
expect 0 "seed 43" "another seed" prompt="slow jazz" lyrics=song.txt output=seed.wav seed=43
other song.wav seed.wav "is another song"
k=0
for change in "prompt=fast rock" "lyrics=[verse] goodbye" "scheduler=heun" "scheduler=pingpong" "guidance_type=cfg" "guidance_scale=9" \
	"guidance_interval=1" "omega_scale=-10" "flow_schedule_shift=2" "erg_tag=false" "erg_lyric=false" "erg_diffusion=false" \
	"negative_prompt=noise" "oss_steps=1,3,7"; do
	k=$((k + 1))
	expect 0 "wrote" "with $change" prompt="slow jazz" lyrics=song.txt output=change.safetensors "$change"
	other latent.safetensors change.safetensors "it is another song"
done
expect 0 "44.1 kHz" "at the model's own rate" prompt="slow jazz" lyrics=song.txt output=own.flac sample_rate=44100
[ "$(head -c 4 own.flac)" = fLaC ]
check $? "flac is flac"
expect 0 "wrote" "in pieces" prompt="slow jazz" output=deep/er/pieces.wav chunked_decode=true
[ -s deep/er/pieces.wav ]
check $? "folders are made"
expect 65 "no tensor noise" "noise of a file without any" prompt=jazz noise=model/ace_step_transformer/diffusion_pytorch_model.safetensors

# --- from another one ---

many="model=model device=cpu steps=6 erg_lyric_layers=0-0 erg_diffusion_blocks=1-2"
fewer=$small small=$many
expect 0 "reference  song.wav at 0.5: 3 of the steps are left" "from a song" prompt="fast rock" reference=song.wav output=from.safetensors
expect 0 "at 0.2: 4 of" "and its latent" prompt="fast rock" reference=song.safetensors output=latent2.safetensors reference_strength=0.2
expect 0 "at 0.6: 2 of" "nearer to it" prompt="fast rock" reference=song.safetensors output=latent6.safetensors reference_strength=0.6
other latent2.safetensors latent6.safetensors "another one is made"
expect 64 "as long as the reference" "a length is not given with it" prompt=jazz reference=song.wav duration=3
expect 66 "reference=none.wav: no such file" "a reference that is not there is named" prompt=jazz reference=none.wav
expect 65 "wanted a tensor latents" "a file without a latent is named" prompt=jazz \
	reference=model/ace_step_transformer/diffusion_pytorch_model.safetensors
expect 0 "song.wav: 1.0 of 3.1 s are made anew, 3 of the steps are left" "a part of a song made anew" prompt="fast rock" reference=song.wav \
	repaint=1-2 output=part.safetensors
expect 0 "are made anew, 6 of" "all the way" prompt="fast rock" reference=song.wav repaint=1-2 retake_variance=1 output=whole.safetensors
other part.safetensors whole.safetensors "it is another one"
expect 0 "are made anew" "the same with another seed" prompt="fast rock" reference=song.wav repaint=1-2 retake_seed=5 output=seed5.safetensors
other part.safetensors seed5.safetensors "it is another one"
expect 0 "1.9 of 4.8 s are made anew, 6 of" "a song that begins earlier and goes on" prompt="fast rock" reference=song.safetensors \
	extend_before=1 extend_after=1 output=longer.safetensors
expect 0 "2.0 of 3.0 s" "from a moment to the end" prompt="fast rock" reference=song.safetensors repaint=1- output=part.wav
expect 64 "wanted FROM-TO" "a part that is none is refused" prompt=jazz reference=song.wav repaint=2-1
expect 64 "s long" "nor one behind the end" prompt=jazz reference=song.wav repaint=2-9
expect 64 "reference=FILE" "nor one of no song" prompt=jazz repaint=1-2
expect 64 "scheduler=euler" "nor with another scheduler" prompt=jazz reference=song.wav repaint=1-2 scheduler=heun
expect 64 "240 s are the most" "a song gets no longer than that" prompt=jazz reference=song.wav extend_after=239
expect 0 "from \"slow jazz\" to the prompt, 12 calls" "a song turned into another" prompt="fast rock" source_prompt="slow jazz" \
	reference=song.safetensors lyrics=song.txt output=edited.safetensors
other song.safetensors edited.safetensors "it is another one"
expect 0 "12 calls" "into what it is" prompt="slow jazz" source_prompt="slow jazz" reference=song.safetensors lyrics=song.txt \
	output=edited.safetensors
same song.safetensors edited.safetensors "it stays what it is"
expect 0 "14 calls" "for a part of the run" prompt="fast rock" source_prompt="slow jazz" reference=song.wav lyrics=song.txt \
	source_lyrics='[verse] goodbye' edit_n_min=0.2 edit_n_max=0.7 edit_n_avg=2 output=edited.wav
expect 64 "wants the song" "of no song it cannot" prompt=jazz source_prompt=rock
expect 64 "without source_prompt" "nor without saying what it is" prompt=jazz reference=song.wav edit_n_avg=2
expect 64 "exclude each other" "it is either edited or painted" prompt=jazz source_prompt=rock reference=song.wav repaint=1-2
small=$fewer
expect 0 "wrote" "another take" prompt="slow jazz" lyrics=song.txt output=take.safetensors retake_seed=9
other latent.safetensors take.safetensors "is another song"
expect 64 "without retake_seed" "a way is not given without it" prompt=jazz retake_variance=0.2
expect 64 "without reference" "nor a strength without a reference" prompt=jazz reference_strength=0.2
expect 0 "wrote" "no way towards it" prompt="slow jazz" lyrics=song.txt output=take.safetensors retake_seed=9 retake_variance=0
same latent.safetensors take.safetensors "is the same song"

# --- several ---

cat > prompts.json << 'END'
{"a b": "slow jazz", "second": {"tags": "fast rock", "lyrics": "[verse]\nla la la"}}
END
expect 0 "2 clips of 3 s" "several prompts" prompts=prompts.json output=clips lyrics=song.txt write_settings=true
[ -s "clips/a b.wav" ] && [ -s clips/second.wav ] && grep -q 'la la la' clips/second.json && grep -q '"seed":.*43' clips/second.json
check $? "are as many songs, by their names"
same song.wav "clips/a b.wav" "the first as if it were alone"
printf 'slow jazz\n\nfast rock\n' > lines.txt
expect 0 "2 clips of 3 s" "prompts may be lines" prompts=lines.txt output=lines lyrics=song.txt
same song.wav lines/1.wav "numbered as they are"
[ -s lines/3.wav ]
check $? "blank ones are none"
echo '{"../up": "jazz"}' > bad.json
expect 65 "cannot be the name of a file" "a name that leaves the folder is refused" prompts=bad.json
echo '{"a": 3}' > bad.json
expect 65 "has no prompt" "an entry without a prompt is named" prompts=bad.json

# --- adapters ---

mkdir songs && "$bin/ace-demo-songs" songs > log 2>&1 && "$bin/ace-preprocess" model=model dataset=songs output_dir=run device=cpu > log 2>&1 &&
	"$bin/ace-train" model=model dataset=songs device=cpu max_train_steps=6 learning_rate=1e-2 lora_rank=4 optimizer=torch-adamw \
	mixed_precision=no output_dir=run lyrics_embedder_train=true > log 2>&1
check $? "an adapter is trained"
lora=run/pytorch_lora_weights.safetensors
expect 0 "$lora at 1" "with it" prompt="slow jazz" lyrics=song.txt output=lora.safetensors lora=$lora
other latent.safetensors lora.safetensors "the song is another one"
expect 0 "at 0" "at no strength" prompt="slow jazz" lyrics=song.txt output=none.safetensors lora=$lora:0
same latent.safetensors none.safetensors "it is as without"
expect 0 "at 0.5" "at half its strength" prompt="slow jazz" lyrics=song.txt output=half.safetensors lora=$lora:0.5
other lora.safetensors half.safetensors "it is between"
other latent.safetensors half.safetensors "the two"
expect 0 "at -1" "one against itself" prompt="slow jazz" lyrics=song.txt output=away.safetensors lora=$lora:1,$lora:-1
expect 0 "run at 1" "the folder of a run" prompt="slow jazz" lyrics=song.txt output=run.safetensors lora=run
other lora.safetensors run.safetensors "brings the lyrics embedder that was trained with it"
expect 65 "no key is an adapter" "a file that is none is named" prompt=jazz lora=song.safetensors

# --- stopping ---

# shellcheck disable=SC2086
"$bin/ace-generate" $small prompts=prompts.json output=stopped steps=1000 log_interval=0 > out.txt 2> log &
pid=$!
while kill -0 $pid 2> /dev/null && ! grep -q '^sampling 3/' log; do sleep 0.05; done
kill -TERM $pid
wait $pid
got=$?
pid=
[ $got -eq 75 ] && grep -q 'stopped    0 of 2 clips' log
check $? "asked to stop it ends with 75 and says how far it came"
[ -z "$(find . -name '*.part')" ] && [ -z "$(ls stopped)" ]
check $? "and leaves nothing half-written"
if [ "$(id -u)" -ne 0 ]; then
	mkdir shut && chmod 555 shut
	expect 73 "shut" "a folder that cannot be written to" prompt=jazz output=shut/x.wav
fi
echo 1..$n
