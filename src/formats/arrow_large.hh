/* SPDX-License-Identifier: Apache-2.0 */
/* arrow_large.hh - a column of large values, songs, of a Parquet file, without a copy; for arrow_shim.cc alone
 *
 * Arrow's reader copies each value into one buffer of the batch, which grows. Here the values of a page are given as they lie
 * in it (binary views), beside the other columns by Arrow's reader. */
#ifndef ACE_FORMATS_ARROW_LARGE_HH
#define ACE_FORMATS_ARROW_LARGE_HH

#include "formats/arrow_pool.hh"

#include <arrow/array/array_binary.h>
#include <arrow/array/array_nested.h>
#include <arrow/buffer.h>
#include <arrow/record_batch.h>
#include <arrow/result.h>
#include <arrow/type.h>
#include <parquet/column_reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>
#include <parquet/schema.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr int64_t large_from = 16 << 10;		/* bytes a value, on average */
constexpr int64_t large_rows = 1024;			/* at once, at most */

class LargeLeaf {
public:
	LargeLeaf(parquet::ParquetFileReader *file, int leaf)
	    : file_(file), leaf_(leaf), column_(file->metadata()->schema()->Column(leaf)), path_(column_->path()->ToDotVector()),
	      def_(large_rows), value_(large_rows)
	{
		auto root = file_->metadata()->schema()->GetColumnRoot(leaf);
		struct_def_ = path_.size() > 1 && root->is_optional() ? 1 : 0;
	}

	/* Bytes without a meaning of their own, at the top or in a plain struct, and large ones. */
	static bool suits(const parquet::FileMetaData &m, int leaf)
	{
		auto c = m.schema()->Column(leaf);
		auto root = m.schema()->GetColumnRoot(leaf);
		int64_t bytes = 0, values = 0;

		if (c->physical_type() != parquet::Type::BYTE_ARRAY || c->max_repetition_level() > 0 || c->path()->ToDotVector().size() > 2 ||
		    c->converted_type() != parquet::ConvertedType::NONE || !(c->logical_type()->is_none() || !c->logical_type()->is_valid()) ||
		    (root->is_group() && root->converted_type() != parquet::ConvertedType::NONE))
			return false;
		for (int g = 0; g < m.num_row_groups(); g++) {
			auto chunk = m.RowGroup(g)->ColumnChunk(leaf);
			bytes += std::clamp<int64_t>(chunk->total_uncompressed_size(), 0, int64_t(1) << 40);
			values += std::clamp<int64_t>(chunk->num_values(), 0, int64_t(1) << 40);
		}
		return values > 0 && bytes / values >= large_from;
	}

	/* The next rows, `most` at most and of one page; 0 at the end. What the call before gave is gone. */
	arrow::Result<int64_t> read(int64_t most)
	{
		for (rows_ = 0; rows_ == 0; group_++, reader_ = nullptr) {
			int64_t values = 0;
			if (!reader_ && group_ >= file_->metadata()->num_row_groups())
				return 0;
			if (!reader_)
				reader_ = file_->RowGroup(group_)->Column(leaf_);
			auto r = static_cast<parquet::ByteArrayReader *>(reader_.get());
			if (!r->HasNext())
				continue;
			rows_ = r->ReadBatch(std::min(most, large_rows), def_.data(), nullptr, value_.data(), &values);
			if (column_->max_definition_level() == 0)
				std::fill_n(def_.begin(), rows_, int16_t(0));
			if (rows_ <= 0 || rows_ > large_rows || values != count(column_->max_definition_level()))
				return arrow::Status::Invalid("column ", column_->path()->ToDotString(), ": its levels and values do not agree");
			break;
		}
		return rows_;
	}

	/* The column as other is part of it, with what was read in it: other: the rest of its struct; NULL: there is none. */
	arrow::Result<std::shared_ptr<arrow::Array>> array(const std::shared_ptr<arrow::Array> &other) const
	{
		ARROW_ASSIGN_OR_RAISE(auto valid, bitmap(column_->max_definition_level()));
		ARROW_ASSIGN_OR_RAISE(auto views, arrow::AllocateBuffer(rows_ * int64_t(sizeof(View)), the_pool()));
		auto *view = reinterpret_cast<View *>(views->mutable_data());
		arrow::BufferVector data;
		int64_t at = 0;

		for (int64_t i = 0; i < rows_; i++) {
			View v;
			std::memset(static_cast<void *>(&v), 0, sizeof v);
			if (def_[size_t(i)] == column_->max_definition_level())
				ARROW_RETURN_NOT_OK(put(value_[size_t(at++)], &v, &data));
			std::memcpy(static_cast<void *>(view + i), &v, sizeof v);
		}
		std::shared_ptr<arrow::Array> values = std::make_shared<arrow::BinaryViewArray>(
			arrow::binary_view(), rows_, std::move(views), std::move(data), std::move(valid));
		if (path_.size() == 1)
			return values;
		arrow::ArrayVector member;
		arrow::FieldVector field;
		if (other) {
			auto &s = static_cast<const arrow::StructArray &>(*other);
			member = s.fields();
			field = s.type()->fields();
		}
		member.push_back(values);
		field.push_back(arrow::field(path_[1], values->type()));
		ARROW_ASSIGN_OR_RAISE(valid, bitmap(struct_def_));
		return std::make_shared<arrow::StructArray>(arrow::struct_(field), rows_, member, std::move(valid));
	}

	/* The same of its type. */
	std::shared_ptr<arrow::Field> field(const std::shared_ptr<arrow::Field> &other) const
	{
		if (path_.size() == 1)
			return arrow::field(path_[0], arrow::binary_view());
		auto members = other ? other->type()->fields() : arrow::FieldVector{};
		members.push_back(arrow::field(path_[1], arrow::binary_view()));
		return arrow::field(path_[0], arrow::struct_(members));
	}
	const std::string &name() const { return path_[0]; }
	bool in_struct() const { return path_.size() > 1; }

private:
	using View = arrow::BinaryViewType::c_type;

	int64_t count(int level) const
	{
		return std::count_if(def_.begin(), def_.begin() + rows_, [=](int16_t d) { return d >= level; });
	}
	arrow::Result<std::shared_ptr<arrow::Buffer>> bitmap(int level) const
	{
		if (count(level) == rows_)
			return nullptr;
		ARROW_ASSIGN_OR_RAISE(auto b, arrow::AllocateBuffer((rows_ + 7) / 8, the_pool()));
		std::memset(b->mutable_data(), 0, size_t(b->size()));
		for (int64_t i = 0; i < rows_; i++)
			b->mutable_data()[i / 8] |= uint8_t((def_[size_t(i)] >= level) << i % 8);
		return std::shared_ptr<arrow::Buffer>(std::move(b));
	}
	static arrow::Status put(const parquet::ByteArray &b, View *v, arrow::BufferVector *data)
	{
		if (b.len > INT32_MAX)
			return arrow::Status::Invalid("a value of ", b.len, " bytes");
		if (b.len <= arrow::BinaryViewType::kInlineSize) {
			v->inlined.size = int32_t(b.len);
			std::memcpy(v->inlined.data.data(), b.ptr, b.len);
			return arrow::Status::OK();
		}
		v->ref.size = int32_t(b.len);
		std::memcpy(v->ref.prefix.data(), b.ptr, v->ref.prefix.size());
		v->ref.buffer_index = int32_t(data->size());
		data->push_back(std::make_shared<arrow::Buffer>(b.ptr, int64_t(b.len)));
		return arrow::Status::OK();
	}

	parquet::ParquetFileReader *file_;
	int leaf_, struct_def_ = 0, group_ = 0;
	const parquet::ColumnDescriptor *column_;
	std::vector<std::string> path_;
	std::shared_ptr<parquet::ColumnReader> reader_;
	std::vector<int16_t> def_;
	std::vector<parquet::ByteArray> value_;
	int64_t rows_ = 0;
};

/* That column beside the others. */
class LargeBatches {
public:
	LargeBatches(parquet::ParquetFileReader *file, int leaf, std::shared_ptr<arrow::RecordBatchReader> rest)
	    : leaf_(file, leaf), rest_(std::move(rest)), at_in_(rest_->schema()->GetFieldIndex(leaf_.name()))
	{
		auto fields = rest_->schema()->fields();
		if (!leaf_.in_struct() || (at_in_ >= 0 && fields[size_t(at_in_)]->type()->id() != arrow::Type::STRUCT))
			at_in_ = -1;
		auto f = leaf_.field(at_in_ >= 0 ? fields[size_t(at_in_)] : nullptr);
		if (at_in_ >= 0)
			fields[size_t(at_in_)] = f;
		else
			fields.push_back(f);
		schema_ = arrow::schema(std::move(fields), rest_->schema()->metadata());
	}
	std::shared_ptr<arrow::Schema> schema() const { return schema_; }
	arrow::Status next(std::shared_ptr<arrow::RecordBatch> *out)
	{
		*out = nullptr;
		while (!batch_ || at_ == batch_->num_rows()) {
			ARROW_RETURN_NOT_OK(rest_->ReadNext(&batch_));
			at_ = 0;
			if (!batch_)
				return arrow::Status::OK();
		}
		ARROW_ASSIGN_OR_RAISE(int64_t rows, leaf_.read(batch_->num_rows() - at_));
		if (rows == 0)
			return arrow::Status::Invalid("column ", leaf_.name(), " has fewer rows than others");
		auto part = batch_->Slice(at_, rows);
		auto columns = part->columns();
		ARROW_ASSIGN_OR_RAISE(auto a, leaf_.array(at_in_ >= 0 ? columns[size_t(at_in_)] : nullptr));
		if (at_in_ >= 0)
			columns[size_t(at_in_)] = a;
		else
			columns.push_back(a);
		at_ += rows;
		*out = arrow::RecordBatch::Make(schema_, rows, std::move(columns));
		return arrow::Status::OK();
	}

private:
	LargeLeaf leaf_;
	std::shared_ptr<arrow::RecordBatchReader> rest_;
	int at_in_;			/* the column of rest_ that is the rest of the leaf's struct; -1: none */
	std::shared_ptr<arrow::Schema> schema_;
	std::shared_ptr<arrow::RecordBatch> batch_;
	int64_t at_ = 0;
};

} // namespace
#endif
