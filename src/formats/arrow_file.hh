/* SPDX-License-Identifier: Apache-2.0 */
/* arrow_file.hh - the files that Arrow C++ reads; for arrow_shim.cc alone */
#ifndef ACE_FORMATS_ARROW_FILE_HH
#define ACE_FORMATS_ARROW_FILE_HH

#include "formats/arrow_pool.hh"

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/result.h>
#include <arrow/util/config.h>
#include <arrow/util/future.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr int64_t map_from = 1 << 20;		/* bytes: larger pieces of a file are mapped, not copied */

/* A piece of a file in memory as long as someone holds it. */
class Mapped final : public arrow::Buffer {
public:
	Mapped(void *base, size_t length, size_t skip, int64_t size)
	    : arrow::Buffer(static_cast<const uint8_t *>(base) + skip, size), base_(base), length_(length) {}
	~Mapped() override { munmap(base_, length_); }

private:
	void *base_;
	size_t length_;
};

/* A file of which large pieces (the body of a batch, a column) are mapped: what is not looked at is not read, and what was
 * read is given back with the batch. */
class File final : public arrow::io::RandomAccessFile {
public:
	File(int fd, int64_t size) : fd_(fd), size_(size) {}
	~File() override { close_it(); }
	arrow::Status Close() override { close_it(); return arrow::Status::OK(); }
	bool closed() const override { return fd_ < 0; }
	arrow::Result<int64_t> Tell() const override { return at_; }
	arrow::Result<int64_t> GetSize() override { return size_; }
	arrow::Status Seek(int64_t to) override
	{
		if (to < 0 || to > size_)
			return arrow::Status::Invalid("position ", to, " is outside of a file of ", size_, " bytes");
		at_ = to;
		return arrow::Status::OK();
	}
	arrow::Result<int64_t> ReadAt(int64_t from, int64_t n, void *out) override
	{
		ARROW_ASSIGN_OR_RAISE(n, clip(from, n));
		for (int64_t done = 0; done < n;) {
			ssize_t got = pread(fd_, static_cast<char *>(out) + done, size_t(n - done), from + done);
			if (got < 0 && errno == EINTR)
				continue;
			if (got < 0)
				return arrow::Status::IOError(std::strerror(errno));
			if (got == 0)
				return done;
			done += got;
		}
		return n;
	}
	arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t from, int64_t n) override
	{
		ARROW_ASSIGN_OR_RAISE(n, clip(from, n));
		if (n >= map_from)
			return map(from, n);
		ARROW_ASSIGN_OR_RAISE(auto b, arrow::AllocateResizableBuffer(n, the_pool()));
		ARROW_ASSIGN_OR_RAISE(int64_t got, ReadAt(from, n, b->mutable_data()));
		ARROW_RETURN_NOT_OK(b->Resize(got));
		return std::shared_ptr<arrow::Buffer>(std::move(b));
	}
	arrow::Result<int64_t> Read(int64_t n, void *out) override
	{
		ARROW_ASSIGN_OR_RAISE(int64_t got, ReadAt(at_, n, out));
		at_ += got;
		return got;
	}
	arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t n) override
	{
		ARROW_ASSIGN_OR_RAISE(auto b, ReadAt(at_, n));
		at_ += b->size();
		return b;
	}

	/* At once: the usual ones are a thread's work. */
#if ARROW_VERSION_MAJOR >= 26
	arrow::Future<std::shared_ptr<arrow::Buffer>> ReadAsync(const arrow::io::IOContext &, int64_t from, int64_t n,
	                                                        bool) override
	{
		return arrow::Future<std::shared_ptr<arrow::Buffer>>::MakeFinished(ReadAt(from, n));
	}
#endif
	arrow::Future<std::shared_ptr<arrow::Buffer>> ReadAsync(const arrow::io::IOContext &, int64_t from, int64_t n) override
	{
		return arrow::Future<std::shared_ptr<arrow::Buffer>>::MakeFinished(ReadAt(from, n));
	}

private:
	arrow::Result<int64_t> clip(int64_t from, int64_t n) const
	{
		if (fd_ < 0 || from < 0 || n < 0 || from > size_)
			return arrow::Status::Invalid(n, " bytes at ", from, " of a file of ", size_);
		return std::min(n, size_ - from);
	}
	arrow::Result<std::shared_ptr<arrow::Buffer>> map(int64_t from, int64_t n)
	{
		int64_t skip = from % sysconf(_SC_PAGESIZE);
		size_t length = size_t(n + skip);
		void *base = mmap(nullptr, length, PROT_READ, MAP_PRIVATE, fd_, off_t(from - skip));
		if (base == MAP_FAILED)
			return arrow::Status::IOError("cannot map ", n, " bytes: ", std::strerror(errno));
		return std::make_shared<Mapped>(base, length, size_t(skip), n);
	}
	void close_it()
	{
		if (fd_ >= 0)
			close(fd_);
		fd_ = -1;
	}
	int fd_;
	int64_t size_, at_ = 0;
};

arrow::Result<std::shared_ptr<File>>
open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat info;

	if (fd < 0 || fstat(fd, &info) != 0) {
		int e = errno;
		if (fd >= 0)
			close(fd);
		return arrow::Status::IOError(std::strerror(e));
	}
	if (!S_ISREG(info.st_mode)) {
		close(fd);
		return arrow::Status::Invalid("not a file");
	}
	return std::make_shared<File>(fd, int64_t(info.st_size));
}

} // namespace
#endif
