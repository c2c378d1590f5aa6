#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# ace-preprocess as a person calls it: what it says, its exit codes, and the fixtures' songs with the fixtures' models.
build=$(cd "${top_builddir:-.}" && pwd)
top=$(cd "${top_srcdir:-.}" && pwd)
prep=$build/src/tools/ace-preprocess
tmp=$(mktemp -d "${TMPDIR:-/tmp}/ace-preprocess-XXXXXX") || exit 99
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
mkdir "$tmp/songs" || exit 99
cd "$tmp" || exit 99
unset SLURM_ARRAY_TASK_ID SLURM_ARRAY_TASK_MIN SLURM_ARRAY_TASK_COUNT SLURM_ARRAY_TASK_STEP
"$build/src/tools/ace-init-model" tiny model --quiet || exit 99

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
# expect CODE "text that must be said" "sentence" options ...
expect() {
	code=$1 text=$2 sentence=$3
	shift 3
	"$prep" "$@" > out.txt 2> log
	got=$?
	if [ $got -eq "$code" ] && grep -qF -- "$text" log && [ ! -s out.txt ]; then
		ok "$sentence"
	else
		echo "# exit $got, wanted $code and \"$text\""
		not_ok "$sentence"
	fi
}
song() {
	{
		printf 'RIFF\144\037\0\0WAVEfmt \020\0\0\0\001\0\001\0\100\037\0\0\100\037\0\0\001\0\010\0data\100\037\0\0'
		dd if=/dev/urandom bs=8000 count=1 2> /dev/null
	} > "songs/$1.wav"
	[ -n "$2" ] && echo "$2" > "songs/$1.txt"
	[ -n "$3" ] && echo "$3" > "songs/$1.lyrics"
	:
}

expect 64 "dataset=FOLDER" "without a data set it says how to give one"
expect 66 "no such folder" "a folder that is not there is named" dataset=nowhere model=model
expect 66 "no sound files" "a folder without songs is named" dataset=songs model=model
song a "slow jazz" "[verse]
hello there"
song b "fast rock"
expect 66 "nomodel" "a model that is not there is named" dataset=songs model=./nomodel
expect 64 "shard=3/2" "a shard that cannot be is refused" dataset=songs model=model shard=3/2
expect 0 "2 files in songs/: 2 to encode (0:02), 0 unchanged" "--check looks and writes nothing" dataset=songs --check
[ ! -e output ] && ok "--check has written nothing" || not_ok "--check has written nothing"
expect 0 "real time" "--dry-run estimates" dataset=songs model=model --dry-run
[ ! -e output ] && ok "--dry-run has written nothing" || not_ok "--dry-run has written nothing"
expect 0 "done: 2 new, 0 kept, 0 failed" "songs are prepared" dataset=songs model=model
grep -qF 'next: ace-train model=model dataset=songs' log && ok "the next command is told" || not_ok "the next command is told"
grep -qF 'lyrics: 1 with, 1 instrumental' log && ok "lyrics are counted" || not_ok "lyrics are counted"
expect 0 "done: 0 new, 2 kept, 0 failed" "a second run keeps all" dataset=songs model=model
expect 0 "the stores fit their songs: 2 clips" "--check finds nothing wrong" dataset=songs model=model --check
mv songs/b.txt b.txt && echo "fast rock, live" > songs/b.txt
"$prep" dataset=songs model=model --check > out.txt 2> log
[ $? -eq 65 ] && grep -qF "songs/b.wav: its captions have changed" out.txt && ok "--check names what has changed and ends with 65" ||
	not_ok "--check names what has changed and ends with 65"
mv b.txt songs/b.txt

expect 78 "vae_dtype=bf16 is for device=cuda" "a processor refuses the autoencoder in bf16" dataset=songs model=model vae_dtype=bf16 device=cpu

song c ""
expect 65 "1 of 3 files failed, more than max_bad=10% allows" "too many bad songs end with 65" dataset=songs model=model
expect 0 "caption file c.txt is missing" "max_bad allows them" dataset=songs model=model max_bad=1
grep -q '"path":"c.wav".*"code":"caption_missing"' output/cache/audio/vae/ace_step/songs/failures.jsonl &&
	ok "failures.jsonl has the song, the code and the reason" || not_ok "failures.jsonl has the song, the code and the reason"
rm songs/c.wav
expect 0 "done: 0 new, 2 kept, 0 failed" "a failure that is mended is forgotten" dataset=songs model=model
[ ! -e output/cache/audio/vae/ace_step/songs/failures.jsonl ] && ok "failures.jsonl goes with the last failure" ||
	not_ok "failures.jsonl goes with the last failure"

"$build/src/tools/ace-init-model" tiny other seed=9 --quiet
expect 0 "made with autoencoder" "a store of another model is told in one line and made anew" dataset=songs model=other
[ "$(grep -c 'made with autoencoder.*encoded again' log)" -eq 1 ] && ok "that line says what happens" || not_ok "that line says what happens"
program=$prep prep=$build/src/tools/ace-train
expect 78 "made with another autoencoder" "ace-train refuses a store of another model" dataset=songs model=model --check
expect 0 "used all the same" "unless that is wished" dataset=songs model=model --check override_dataset_config=true
expect 0 "settings fit" "and takes the one of its own" dataset=songs model=other --check
cp -r model mixed && cp other/music_dcae_f8c8/* mixed/music_dcae_f8c8 && cp other/music_vocoder/* mixed/music_vocoder
expect 78 "made with another text encoder" "so for captions" dataset=songs model=mixed --check
prep=$program
expect 0 "2 kept" "and kept when that is wished" dataset=songs model=model override_dataset_config=true

# the list of the guide, and one that is not built
cat > list.json << 'END'
[{"id": "mine", "type": "local", "dataset_type": "audio", "instance_data_dir": "songs", "caption_strategy": "textfile",
  "metadata_backend": "discovery", "disabled": false, "cache_dir_vae": "cache/vae/{model_family}/{id}"},
 {"id": "text-embeds", "dataset_type": "text_embeds", "default": true, "type": "local", "cache_dir": "cache/text/{model_family}"}]
END
expect 0 "2 new" "a dataset list is read" data_backend_config=list.json model=model
[ -e cache/vae/ace_step/mine/latents-0000-000000.h5 ] && [ -e cache/text/ace_step/text-0000-000000.h5 ] &&
	ok "stores lie where the list says" || not_ok "stores lie where the list says"
HF_HUB_CACHE=$tmp/none HF_HOME=$tmp/none
export HF_HUB_CACHE HF_HOME
expect 66 "Yi3852/ACEStep-Songs" "a hub data set that is not in the cache is named" \
	data_backend_config="$top/datasets/ace_step-v1-0.peft-lora/acestep-audio.json" model=model
unset HF_HUB_CACHE HF_HOME
expect 64 "are both given" "two data sets at once are refused" data_backend_config=list.json dataset=songs model=model

# shards of a job array, and their merge
for i in 7 8; do
	SLURM_ARRAY_TASK_ID=$i SLURM_ARRAY_TASK_MIN=7 SLURM_ARRAY_TASK_COUNT=2 "$prep" dataset=songs model=model output_dir=sharded 2> log ||
		not_ok "task $i of a job array ends well"
done
grep -qF "shard=2/2" log && ok "a job array makes shards" || not_ok "a job array makes shards"
expect 0 "2 parts are 1 now" "shards are merged" dataset=songs output_dir=sharded --merge

# not ours to write
chmod 555 songs
if [ "$(id -u)" -ne 0 ]; then
	expect 73 "cannot" "a folder that cannot be written is named" dataset=songs model=model output_dir=songs/out
fi

# the fixtures
for root in "$ACE_FIXTURES" "$top/../shared/fixtures" "$top/tests/fixtures"; do
	"$prep" --version | grep -q "no FFmpeg" && break
	if [ -n "$root" ] && [ -d "$root/local-audio" ] && [ -d "$root/dcae-tiny" ] && [ -d "$root/umt5-tiny" ] && [ -d "$root/vocoder-tiny" ]; then
		mkdir golden
		ln -s "$root/dcae-tiny/music_dcae_f8c8" "$root/vocoder-tiny/music_vocoder" golden/
		ln -s "$root/umt5-tiny/umt5" golden/umt5-base
		cp model/lyric_vocab.json golden/
		good=$(tr -d ' \n' < "$root/local-audio/expected.json" | sed 's/.*"summary":{"ok":\([0-9]*\).*/\1/')
		expect 0 "done: $good new, 0 kept" "the golden songs are prepared" dataset="$root/local-audio/songs" model=golden output_dir=gold max_bad=99%
		expect 0 "done: 0 new, $good kept" "and kept" dataset="$root/local-audio/songs" model=golden output_dir=gold max_bad=99%
		break
	fi
done
[ -d golden ] || { n=$((n + 1)); echo "ok $n # SKIP fixture set local-audio is in no root"; }
echo "1..$n"
