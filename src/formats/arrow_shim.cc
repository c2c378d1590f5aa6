/* SPDX-License-Identifier: Apache-2.0 */
/* Arrow C++ behind a door of plain C (formats/arrow_abi.h): the only C++ here, in a shared object of its own that is loaded
 * when a Parquet or Arrow file is opened. No exception leaves it. */
#include <arrow/c/bridge.h>
#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/status.h>
#include <arrow/type.h>
#include <arrow/util/config.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/properties.h>
#include <parquet/schema.h>

#include "formats/arrow_abi.h"
#include "formats/arrow_file.hh"
#include "formats/arrow_large.hh"
#include "formats/arrow_pool.hh"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int64_t batch_bytes = 4 << 20;	/* of a Parquet batch, about */
constexpr int64_t most_rows = 4096;

int
errno_of(const arrow::Status &s)
{
	if (s.IsOutOfMemory())
		return ENOMEM;
	if (s.IsIOError() && s.message().find("Expected") == std::string::npos)
		return EIO;
	return EINVAL;
}

/* One line of a message, without the code in front of it. */
int
tell(const arrow::Status &s, char *why, size_t size)
{
	std::string text = s.message();

	text = text.substr(0, text.find('\n'));
	for (char &c : text)
		if (static_cast<unsigned char>(c) < 32 || c == 127)
			c = '?';
	std::snprintf(why, size, "%.300s", text.c_str());
	return errno_of(s);
}

/* f() with every exception made a failure. */
template <typename F>
arrow::Status
guarded(F f) noexcept
{
	try {
		return f();
	} catch (const std::bad_alloc &) {
		return arrow::Status::OutOfMemory("no memory");
	} catch (const std::exception &e) {
		return arrow::Status::Invalid(e.what());
	} catch (...) {
		return arrow::Status::Invalid("an exception of unknown kind");
	}
}

/* Batches of one file. */
class Rows {
public:
	virtual ~Rows() = default;
	virtual std::shared_ptr<arrow::Schema> schema() const = 0;
	virtual arrow::Status next(std::shared_ptr<arrow::RecordBatch> *out) = 0;
};

class BatchRows final : public Rows {		/* an IPC stream, or what Parquet gives */
public:
	explicit BatchRows(std::shared_ptr<arrow::RecordBatchReader> r) : reader_(std::move(r)) {}
	std::shared_ptr<arrow::Schema> schema() const override { return reader_->schema(); }
	arrow::Status next(std::shared_ptr<arrow::RecordBatch> *out) override { return reader_->ReadNext(out); }
	std::unique_ptr<parquet::arrow::FileReader> parquet;	/* which the reader borrows */

private:
	std::shared_ptr<arrow::RecordBatchReader> reader_;
};

class LargeRows final : public Rows {		/* Parquet with a column of large values */
public:
	LargeRows(std::unique_ptr<parquet::arrow::FileReader> r, int leaf, std::shared_ptr<arrow::RecordBatchReader> rest)
	    : parquet_(std::move(r)), batches_(parquet_->parquet_reader(), leaf, std::move(rest)) {}
	std::shared_ptr<arrow::Schema> schema() const override { return batches_.schema(); }
	arrow::Status next(std::shared_ptr<arrow::RecordBatch> *out) override { return batches_.next(out); }

private:
	std::unique_ptr<parquet::arrow::FileReader> parquet_;	/* which the other borrows */
	LargeBatches batches_;
};

class FileRows final : public Rows {
public:
	explicit FileRows(std::shared_ptr<arrow::ipc::RecordBatchFileReader> r) : reader_(std::move(r)) {}
	std::shared_ptr<arrow::Schema> schema() const override { return reader_->schema(); }
	arrow::Status next(std::shared_ptr<arrow::RecordBatch> *out) override
	{
		*out = nullptr;
		if (at_ >= reader_->num_record_batches())
			return arrow::Status::OK();
		ARROW_ASSIGN_OR_RAISE(*out, reader_->ReadRecordBatch(at_++));
		return arrow::Status::OK();
	}

private:
	std::shared_ptr<arrow::ipc::RecordBatchFileReader> reader_;
	int at_ = 0;
};

bool
is_below(const std::string &path, const std::string &above)
{
	return path == above || (path.size() > above.size() && path.compare(0, above.size(), above) == 0 &&
	                         path[above.size()] == '.');
}

/* A leaf of a Parquet file is wanted when a name is its path or one above it, or asks for a member of it, which it turns out
 * not to have; a column of an IPC file, which is read whole, when a name is its own or one below it. */
bool
wanted(const char *const *columns, const std::string &path, bool leaf)
{
	for (int i = 0; columns && columns[i]; i++)
		if (is_below(columns[i], path) || (leaf && is_below(path, columns[i])))
			return true;
	return !columns;
}

arrow::ipc::IpcReadOptions
ipc_options()
{
	auto o = arrow::ipc::IpcReadOptions::Defaults();

	o.memory_pool = the_pool();
	o.use_threads = false;
	o.ensure_alignment = arrow::ipc::Alignment::kDataTypeSpecificAlignment;
	return o;
}

/* Arrow takes the columns by number, which only the schema tells: a first look finds them. */
std::vector<int>
numbers(const arrow::Schema &s, const char *const *columns)
{
	std::vector<int> v;

	for (int i = 0; columns && i < s.num_fields(); i++)
		if (wanted(columns, s.field(i)->name(), false))
			v.push_back(i);
	return v;
}

arrow::Result<std::unique_ptr<Rows>>
open_stream(std::shared_ptr<File> f, const char *const *columns)
{
	auto options = ipc_options();
	ARROW_ASSIGN_OR_RAISE(auto r, arrow::ipc::RecordBatchStreamReader::Open(f, options));

	if (columns) {
		options.included_fields = numbers(*r->schema(), columns);
		if (!options.included_fields.empty()) {
			ARROW_RETURN_NOT_OK(f->Seek(0));
			ARROW_ASSIGN_OR_RAISE(r, arrow::ipc::RecordBatchStreamReader::Open(f, options));
		}
	}
	return std::unique_ptr<Rows>(std::make_unique<BatchRows>(std::move(r)));
}

arrow::Result<std::unique_ptr<Rows>>
open_ipc_file(std::shared_ptr<File> f, const char *const *columns)
{
	auto options = ipc_options();
	ARROW_ASSIGN_OR_RAISE(auto r, arrow::ipc::RecordBatchFileReader::Open(f, options));

	if (columns) {
		options.included_fields = numbers(*r->schema(), columns);
		if (!options.included_fields.empty()) {
			ARROW_ASSIGN_OR_RAISE(r, arrow::ipc::RecordBatchFileReader::Open(f, options));
		}
	}
	return std::unique_ptr<Rows>(std::make_unique<FileRows>(std::move(r)));
}

/* Leaf columns below wanted names. */
std::vector<int>
leaves(const parquet::FileMetaData &m, const char *const *columns)
{
	std::vector<int> leaf;

	for (int i = 0; i < m.num_columns(); i++)
		if (wanted(columns, m.schema()->Column(i)->path()->ToDotString(), true))
			leaf.push_back(i);
	return leaf.empty() && columns ? leaves(m, nullptr) : leaf;
}

/* How many rows make a batch of a fair size. */
int64_t
fair_rows(const parquet::FileMetaData &m, const std::vector<int> &leaf)
{
	int64_t bytes = 0;

	for (int g = 0; g < m.num_row_groups(); g++) {
		auto group = m.RowGroup(g);
		for (int i : leaf)
			bytes += std::clamp<int64_t>(group->ColumnChunk(i)->total_uncompressed_size(), 0, int64_t(1) << 40);
	}
	bytes = m.num_rows() > 0 ? bytes / m.num_rows() : 0;
	return std::clamp<int64_t>(bytes > 0 ? batch_bytes / bytes : most_rows, 1, most_rows);
}

/* The column that is read without a copy, taken out of the others; -1: none. */
int
take_large(const parquet::FileMetaData &m, std::vector<int> *leaf)
{
	for (auto i = leaf->begin(); ARROW_VERSION_MAJOR >= 18 && i != leaf->end(); i++)
		if (LargeLeaf::suits(m, *i)) {
			int found = *i;
			leaf->erase(i);
			return found;
		}
	return -1;
}

arrow::Result<std::unique_ptr<Rows>>
open_parquet(std::shared_ptr<File> f, const char *const *columns)
{
	parquet::ReaderProperties p(the_pool());
	parquet::ArrowReaderProperties a;
	parquet::arrow::FileReaderBuilder b;
	std::unique_ptr<parquet::arrow::FileReader> r;
	std::shared_ptr<arrow::RecordBatchReader> batches;

	a.set_use_threads(false);
	a.set_pre_buffer(false);
	ARROW_RETURN_NOT_OK(b.Open(f, p));
	auto m = b.raw_reader()->metadata();
	auto leaf = leaves(*m, columns);
	int large = take_large(*m, &leaf);
	std::vector<int> groups(size_t(m->num_row_groups()));
	std::iota(groups.begin(), groups.end(), 0);
	a.set_batch_size(fair_rows(*m, leaf));
	b.memory_pool(the_pool())->properties(a);
#if ARROW_VERSION_MAJOR >= 21
	ARROW_ASSIGN_OR_RAISE(r, b.Build());
	ARROW_ASSIGN_OR_RAISE(batches, r->GetRecordBatchReader(groups, leaf));
#else
	std::unique_ptr<arrow::RecordBatchReader> one;
	ARROW_RETURN_NOT_OK(b.Build(&r));
	ARROW_RETURN_NOT_OK(r->GetRecordBatchReader(groups, leaf, &one));
	batches = std::move(one);
#endif
	if (large >= 0)
		return std::unique_ptr<Rows>(std::make_unique<LargeRows>(std::move(r), large, std::move(batches)));
	auto out = std::make_unique<BatchRows>(std::move(batches));
	out->parquet = std::move(r);
	return std::unique_ptr<Rows>(std::move(out));
}

arrow::Result<std::unique_ptr<Rows>>
open_rows(const char *path, const char *const *columns)
{
	char head[8] = "";
	ARROW_ASSIGN_OR_RAISE(auto f, open_file(path));
	ARROW_RETURN_NOT_OK(f->ReadAt(0, sizeof head, head).status());

	if (std::memcmp(head, "PARE", 4) == 0)
		return arrow::Status::Invalid("an encrypted Parquet file");
	if (std::memcmp(head, "PAR1", 4) == 0)
		return open_parquet(f, columns);
	if (std::memcmp(head, "ARROW1", 6) == 0)
		return open_ipc_file(f, columns);
	return open_stream(f, columns);
}

/* --- the stream that C sees --- */

struct Stream {
	std::unique_ptr<Rows> rows;
	char error[400] = "";
};

int
get_schema(ArrowArrayStream *s, ArrowSchema *out)
{
	Stream &me = *static_cast<Stream *>(s->private_data);
	auto st = guarded([&] { return arrow::ExportSchema(*me.rows->schema(), out); });

	return st.ok() ? 0 : tell(st, me.error, sizeof me.error);
}

arrow::Status
next_batch(Stream &me, ArrowArray *out)
{
	std::shared_ptr<arrow::RecordBatch> b;

	out->release = nullptr;
	ARROW_RETURN_NOT_OK(me.rows->next(&b));
	if (!b)
		return arrow::Status::OK();
	ARROW_RETURN_NOT_OK(b->ValidateFull());
	if (!b->schema()->Equals(*me.rows->schema(), false))
		return arrow::Status::Invalid("a batch has other columns than the file");
	return arrow::ExportRecordBatch(*b, out);
}

int
get_next(ArrowArrayStream *s, ArrowArray *out)
{
	Stream &me = *static_cast<Stream *>(s->private_data);
	auto st = guarded([&] { return next_batch(me, out); });

	return st.ok() ? 0 : tell(st, me.error, sizeof me.error);
}

const char *
get_last_error(ArrowArrayStream *s)
{
	return static_cast<Stream *>(s->private_data)->error;
}

void
release_stream(ArrowArrayStream *s)
{
	delete static_cast<Stream *>(s->private_data);
	s->release = nullptr;
}

int
shim_read(const char *path, const char *const *columns, ArrowArrayStream *out, char *why, size_t size)
{
	auto st = guarded([&]() -> arrow::Status {
		auto s = std::make_unique<Stream>();
		ARROW_ASSIGN_OR_RAISE(s->rows, open_rows(path, columns));
		out->private_data = s.release();
		out->get_schema = get_schema;
		out->get_next = get_next;
		out->get_last_error = get_last_error;
		out->release = release_stream;
		return arrow::Status::OK();
	});

	return st.ok() ? 0 : tell(st, why, size);
}

/* --- writing --- */

arrow::Status
write_all(const char *path, ArrowArrayStream *in, int64_t *rows)
{
	ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ImportRecordBatchReader(in));
	ARROW_ASSIGN_OR_RAISE(auto sink, arrow::io::FileOutputStream::Open(path));
	auto options = arrow::ipc::IpcWriteOptions::Defaults();
	options.use_threads = false;
	ARROW_ASSIGN_OR_RAISE(auto w, arrow::ipc::MakeStreamWriter(sink, reader->schema(), options));

	for (*rows = 0;;) {
		std::shared_ptr<arrow::RecordBatch> b;
		ARROW_RETURN_NOT_OK(reader->ReadNext(&b));
		if (!b)
			break;
		ARROW_RETURN_NOT_OK(b->ValidateFull());
		ARROW_RETURN_NOT_OK(w->WriteRecordBatch(*b));
		*rows += b->num_rows();
	}
	ARROW_RETURN_NOT_OK(w->Close());
	return sink->Close();
}

int
shim_write(const char *path, ArrowArrayStream *in, int64_t *rows, char *why, size_t size)
{
	auto st = guarded([&] { return write_all(path, in, rows); });

	if (in->release)
		in->release(in);
	return st.ok() ? 0 : tell(st, why, size);
}

int
shim_parquet_rows(const char *path, int64_t *rows, char *why, size_t size)
{
	auto st = guarded([&]() -> arrow::Status {
		ARROW_ASSIGN_OR_RAISE(auto f, open_file(path));
		*rows = parquet::ParquetFileReader::Open(f, parquet::ReaderProperties(the_pool()))->metadata()->num_rows();
		return *rows < 0 ? arrow::Status::Invalid("a negative number of rows") : arrow::Status::OK();
	});

	return st.ok() ? 0 : tell(st, why, size);
}

const arrow_shim shim = { ARROW_VERSION_STRING, shim_read, shim_write, shim_parquet_rows };

} // namespace

extern "C" __attribute__((visibility("default"))) const arrow_shim *
ace_arrow_shim(int abi)
{
	return abi == ARROW_SHIM_ABI ? &shim : nullptr;
}
