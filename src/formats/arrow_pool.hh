/* SPDX-License-Identifier: Apache-2.0 */
/* arrow_pool.hh - the memory that Arrow C++ is given; for arrow_shim.cc alone */
#ifndef ACE_FORMATS_ARROW_POOL_HH
#define ACE_FORMATS_ARROW_POOL_HH

#include <arrow/memory_pool.h>
#include <arrow/status.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <mutex>
#include <string>
#include <vector>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARROW_POOL_KEEPS 0		/* what was given back is not to be looked at unnoticed */
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(ARROW_POOL_KEEPS)
#define ARROW_POOL_KEEPS 0
#endif
#ifndef ARROW_POOL_KEEPS
#define ARROW_POOL_KEEPS 1
#endif

namespace {

constexpr int64_t most_memory = int64_t(4) << 30;
constexpr int64_t keep_from = 1 << 16, keep_most = ARROW_POOL_KEEPS ? 64 << 20 : 0;	/* bytes of a block, and of all that are kept */

/* Allocation with a ceiling, so that a length from a file cannot take the machine's memory. Large blocks are kept for the next batch:
 * to give them back and to have their pages anew, each cleared, took longer than all else that is done with a Parquet file. There
 * is one pool, for ever: Arrow may give a buffer back after the reader that asked for it is gone, from another thread. */
class Pool final : public arrow::MemoryPool {
public:
	Pool() : inner_(arrow::system_memory_pool()) {}
	using arrow::MemoryPool::Allocate;
	using arrow::MemoryPool::Free;
	using arrow::MemoryPool::Reallocate;
	arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t **out) override
	{
		ARROW_RETURN_NOT_OK(take(size));
		auto st = get(size, alignment, out);
		if (!st.ok())
			held_ -= size;
		return st;
	}
	arrow::Status Reallocate(int64_t old_size, int64_t size, int64_t alignment, uint8_t **p) override
	{
		ARROW_RETURN_NOT_OK(take(size - old_size));
		auto st = change(old_size, size, alignment, p);
		if (!st.ok())
			held_ -= size - old_size;
		return st;
	}
	void Free(uint8_t *buffer, int64_t size, int64_t alignment) override
	{
		put(buffer, size, alignment);
		held_ -= size;
	}
	int64_t bytes_allocated() const override { return held_; }
	int64_t max_memory() const override { return -1; }		/* not counted */
	int64_t total_bytes_allocated() const override { return total_; }
	int64_t num_allocations() const override { return allocations_; }
	std::string backend_name() const override { return "capped"; }

private:
	static constexpr int classes = 64;
	struct Block {
		uint8_t *at;
		int64_t alignment;
	};

	/* What a block of `size` bytes has room for: four sizes between a power of two and the next, or 0: it is not kept. */
	static int64_t room(int64_t size)
	{
		if (size < keep_from || size > keep_most)
			return 0;
		int64_t step = int64_t(1) << (61 - __builtin_clzll(uint64_t(size)));
		return (size + step - 1) / step * step;
	}
	static int class_of(int64_t room)
	{
		int log = 63 - __builtin_clzll(uint64_t(room));
		return (log * 4 + int((room >> (log - 2)) & 3)) % classes;
	}
	arrow::Status get(int64_t size, int64_t alignment, uint8_t **out)
	{
		int64_t r = room(size);

		if (r > 0) {
			std::lock_guard<std::mutex> lock(mutex_);
			auto &v = kept_[class_of(r)];
			for (auto b = v.rbegin(); b != v.rend(); b++)
				if (b->alignment == alignment) {
					*out = b->at;
					v.erase(std::next(b).base());
					keeps_ -= r;
					return arrow::Status::OK();
				}
		}
		return inner_->Allocate(r > 0 ? r : size, alignment, out);
	}
	void put(uint8_t *at, int64_t size, int64_t alignment)
	{
		int64_t r = room(size);

		if (r > 0) {
			std::lock_guard<std::mutex> lock(mutex_);
			if (keeps_ + r <= keep_most) {
				kept_[class_of(r)].push_back({ at, alignment });
				keeps_ += r;
				return;
			}
		}
		inner_->Free(at, r > 0 ? r : size, alignment);
	}
	arrow::Status change(int64_t old_size, int64_t size, int64_t alignment, uint8_t **p)
	{
		int64_t from = room(old_size), to = room(size);
		uint8_t *at = nullptr;

		if (from == to && from > 0)
			return arrow::Status::OK();
		if (from == 0 && to == 0)
			return inner_->Reallocate(old_size, size, alignment, p);
		ARROW_RETURN_NOT_OK(get(size, alignment, &at));
		std::memcpy(at, *p, size_t(std::min(old_size, size)));
		put(*p, old_size, alignment);
		*p = at;
		return arrow::Status::OK();
	}
	arrow::Status take(int64_t more)
	{
		int64_t held = held_ += more;

		if (more > 0 && held > most_memory) {
			held_ -= more;
			return arrow::Status::OutOfMemory("it asks for ", more, " bytes beside ", held - more,
			                                  "; at most ", most_memory, " are given");
		}
		total_ += more > 0 ? more : 0;
		allocations_++;
		return arrow::Status::OK();
	}
	std::atomic<int64_t> held_{ 0 }, total_{ 0 }, allocations_{ 0 };
	arrow::MemoryPool *inner_;
	std::mutex mutex_;
	std::vector<Block> kept_[classes];
	int64_t keeps_ = 0;
};

arrow::MemoryPool *
the_pool()
{
	static Pool *const pool = new Pool;

	return pool;
}

} // namespace
#endif
