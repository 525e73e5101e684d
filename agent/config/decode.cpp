#include "config/decode.h"

#include <algorithm>
#include <exception>
#include <limits>
#include <map>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
// toml++ 3.3 asserts what texts can break ("[=") and then handles it well: without the assertion a
// debug build says the same as a release build, instead of ending.
#define TOML_ASSERT(expression) static_assert(true)
#include <toml++/toml.h>

#include "base/text.h"
#include "config/ascii_text.h"
#include "config/units.h"

namespace hvguard::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::size_t kMaxShownBytes = 80;
constexpr std::size_t kMaxNameBytes = 64;
constexpr int kMaxTables = 64;  // of one [[vm_class]]

std::string shown(std::string_view raw) {
  return safe_text(raw, kMaxShownBytes);
}

std::vector<std::string> field_names(const Descriptor& type) {
  std::vector<std::string> names;
  for (int i = 0; i < type.field_count(); ++i) {
    names.push_back(type.field(i)->name());
  }
  return names;
}

// How the field's table is written in a file.
std::string header_of(const FieldDescriptor& field) {
  return fmt::format(fmt::runtime(field.is_repeated() ? "[[{}]]" : "[{}]"), field.name());
}

// Such a name can stand in keys ("vm_class.small.mode") and in sentences as it is.
bool is_plain_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  };
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), fits);
}

std::string_view found_type(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

std::string_view expected_type(const FieldDescriptor& field) {
  if (field.is_repeated()) {
    return "a list of texts, such as [\"a\", \"b\"]";
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false, without quotes";
    case FieldDescriptor::CPPTYPE_UINT32:
      return "a whole number from 0 to 4294967295";
    case FieldDescriptor::CPPTYPE_UINT64:
      return "a size: a whole number of bytes, or text such as \"16MB\" or \"1GiB\"";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "a number";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return "a table";
    default:
      return "text in quotes";
  }
}

// "; did you mean 'open_after'?", or the list of what there is.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string_view near = nearest(word, candidates);
  if (!near.empty()) {
    return fmt::format("; did you mean '{}'?", near);
  }
  return fmt::format("; known here: {}", fmt::join(candidates, ", "));
}

class Decoder {
 public:
  Decoder(Draft draft, const std::string& file) : draft_(std::move(draft)), file_(file) {}

  void root(const toml::table& table) {
    const Descriptor& type = *v1::Config::descriptor();
    for (const auto& [key, node] : table) {
      const FieldDescriptor* field = type.FindFieldByName(std::string(key.str()));
      if (field == nullptr) {
        draft_.add_fault(origin(key.source()), unknown_at_root(key.str(), node, type));
      } else if (field->is_repeated()) {
        decode_list(node, *field);
      } else if (const toml::table* section = node.as_table()) {
        decode_keys(*draft_.values.GetReflection()->MutableMessage(&draft_.values, field),
                    *section,
                    *field,
                    field->name());
      } else {
        draft_.add_fault(origin(node.source()),
                         fmt::format("'{0}' must be a table: write [{0}] on a line of its own, and "
                                     "its keys below",
                                     field->name()));
      }
    }
  }

  Draft take() && { return std::move(draft_); }

  [[nodiscard]] Origin origin(const toml::source_region& region) const {
    return {file_, region.begin.line, region.begin.column};
  }

 private:
  static std::string unknown_at_root(std::string_view key,
                                     const toml::node& node,
                                     const Descriptor& type) {
    if (node.is_table() || node.is_array_of_tables()) {
      return fmt::format("unknown table [{}]{}", shown(key), suggestion(key, field_names(type)));
    }
    for (int i = 0; i < type.field_count(); ++i) {
      if (type.field(i)->message_type()->FindFieldByName(std::string(key)) != nullptr) {
        return fmt::format("key '{}' stands outside of any table; it belongs below {}",
                           shown(key),
                           header_of(*type.field(i)));
      }
    }
    return fmt::format("unknown key '{}' outside of any table", shown(key));
  }

  void decode_list(const toml::node& node, const FieldDescriptor& field) {
    const toml::array* list = node.as_array();
    if (list == nullptr || !std::all_of(list->begin(), list->end(), [](const toml::node& item) {
          return item.is_table();
        })) {
      draft_.add_fault(origin(node.source()),
                       fmt::format("'{0}' is a list of tables: write [[{0}]] on a line of its own "
                                   "before each of them, and its keys below",
                                   field.name()));
      return;
    }
    std::map<std::string, std::uint32_t, std::less<>> lines;  // of the names in this file
    for (const toml::node& item : *list) {
      decode_named(*item.as_table(), field, lines);
    }
  }

  // A table of a list is known by its name. One of the same name in an earlier file is replaced
  // whole, in its place.
  void decode_named(const toml::table& table,
                    const FieldDescriptor& field,
                    std::map<std::string, std::uint32_t, std::less<>>& lines) {
    const toml::node* name_node = table.get("name");
    const auto* text = name_node == nullptr ? nullptr : name_node->as_string();
    if (text == nullptr || !is_plain_name(text->get())) {
      draft_.add_fault(origin((name_node == nullptr ? table : *name_node).source()),
                       fmt::format("each {} needs a name of at most {} letters, digits, '-' and "
                                   "'_', such as name = \"small\"",
                                   header_of(field),
                                   kMaxNameBytes));
      return;
    }
    const std::string& name = text->get();
    const auto [first, is_new] = lines.emplace(name, name_node->source().begin.line);
    if (!is_new) {
      draft_.add_fault(origin(name_node->source()),
                       fmt::format("a second {} named '{}' in this file; the first is in line {}",
                                   header_of(field),
                                   name,
                                   first->second));
      return;
    }
    Message* message = message_named(name, field);
    if (message == nullptr) {
      draft_.add_fault(origin(name_node->source()),
                       fmt::format("more than {} {} in all files", kMaxTables, header_of(field)));
      return;
    }
    const std::string prefix = field.name() + "." + name;
    std::erase_if(draft_.origins,
                  [&](const auto& entry) { return entry.first.starts_with(prefix + "."); });
    decode_keys(*message, table, field, prefix);
  }

  // The empty one of that name in the list; null if the list is full.
  Message* message_named(const std::string& name, const FieldDescriptor& field) {
    const auto* reflection = draft_.values.GetReflection();
    const FieldDescriptor* name_field = field.message_type()->FindFieldByName("name");
    const int count = reflection->FieldSize(draft_.values, &field);
    for (int i = 0; i < count; ++i) {
      Message* message = reflection->MutableRepeatedMessage(&draft_.values, &field, i);
      if (message->GetReflection()->GetString(*message, name_field) == name) {
        message->Clear();
        return message;
      }
    }
    return count < kMaxTables ? reflection->AddMessage(&draft_.values, &field) : nullptr;
  }

  // `prefix` and a dot begin the keys of the origins.
  void decode_keys(Message& message,
                   const toml::table& table,
                   const FieldDescriptor& table_field,
                   const std::string& prefix) {
    const Descriptor& type = *message.GetDescriptor();
    for (const auto& [key, node] : table) {
      const FieldDescriptor* field = type.FindFieldByName(std::string(key.str()));
      if (field == nullptr) {
        draft_.add_fault(origin(key.source()),
                         fmt::format("unknown key '{}' in {}{}",
                                     shown(key.str()),
                                     header_of(table_field),
                                     suggestion(key.str(), field_names(type))));
      } else if (set_field(message, *field, node)) {
        draft_.origins[prefix + "." + field->name()] = origin(node.source());
      } else {
        draft_.add_fault(origin(node.source()),
                         fmt::format("'{}' in {} must be {}; this is {}",
                                     field->name(),
                                     header_of(table_field),
                                     expected_type(*field),
                                     wrong_value(*field, node)));
      }
    }
  }

  static std::string wrong_value(const FieldDescriptor& field, const toml::node& node) {
    if (const auto* text = node.as_string();
        text != nullptr && field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
      return fmt::format("\"{}\"", shown(text->get()));
    }
    // Not value<std::int64_t>(), which converts a fraction too, and one of 1e32 to nobody knows
    // what.
    if (const auto* number = node.as_integer()) {
      return fmt::format("{}", number->get());
    }
    if (const toml::array* list = node.as_array(); list != nullptr && !list->empty()) {
      return "a list with other things in it";
    }
    return std::string(found_type(node));
  }

  static bool set_field(Message& message, const FieldDescriptor& field, const toml::node& node) {
    const auto* reflection = message.GetReflection();
    if (field.is_repeated()) {
      return set_texts(message, field, node);
    }
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING: {
        const auto* text = node.as_string();
        if (text != nullptr) {
          reflection->SetString(&message, &field, text->get());
        }
        return text != nullptr;
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        const auto* flag = node.as_boolean();
        if (flag != nullptr) {
          reflection->SetBool(&message, &field, flag->get());
        }
        return flag != nullptr;
      }
      case FieldDescriptor::CPPTYPE_UINT32: {
        const auto* number = node.as_integer();
        const bool fits = number != nullptr && number->get() >= 0 &&
                          number->get() <= std::numeric_limits<std::uint32_t>::max();
        if (fits) {
          reflection->SetUInt32(&message, &field, static_cast<std::uint32_t>(number->get()));
        }
        return fits;
      }
      case FieldDescriptor::CPPTYPE_UINT64: {
        const auto size = size_of(node);
        if (size) {
          reflection->SetUInt64(&message, &field, *size);
        }
        return size.has_value();
      }
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        const bool is_number = node.is_integer() || node.is_floating_point();
        if (is_number) {
          reflection->SetDouble(&message, &field, node.value<double>().value_or(0));
        }
        return is_number;
      }
      default:
        return false;
    }
  }

  static std::optional<std::uint64_t> size_of(const toml::node& node) {
    if (const auto* text = node.as_string()) {
      return parse_size(text->get());
    }
    const auto* number = node.as_integer();
    return number != nullptr && number->get() >= 0
               ? std::optional(static_cast<std::uint64_t>(number->get()))
               : std::nullopt;
  }

  static bool set_texts(Message& message, const FieldDescriptor& field, const toml::node& node) {
    const toml::array* list = node.as_array();
    if (list == nullptr || field.cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
      return false;
    }
    for (const toml::node& item : *list) {
      if (!item.is_string()) {
        return false;
      }
    }
    const auto* reflection = message.GetReflection();
    reflection->ClearField(&message, &field);  // a later file replaces the whole list
    for (const toml::node& item : *list) {
      reflection->AddString(&message, &field, item.as_string()->get());
    }
    return true;
  }

  Draft draft_;
  const std::string& file_;
};

}  // namespace

Draft decode(Draft draft, std::string_view text, const std::string& file) {
  if (text.size() > kMaxConfigBytes) {
    draft.add_fault({file, 0, 0},
                    fmt::format("longer than {}, which no configuration of hvguard needs",
                                format_bytes(kMaxConfigBytes)));
    return draft;
  }
  const auto ascii = to_ascii(text);
  if (!ascii) {
    draft.add_fault(
        {file, ascii.error().line, ascii.error().column},
        ascii.error().is_control
            ? "a control character, which TOML allows nowhere"
            : "a character beyond ASCII outside of a comment; in quotes, write it as an "
              "escape such as \\u00e4");
    return draft;
  }
  // toml++ is the one place that throws: a syntax error becomes a Fault right here.
  std::optional<toml::table> table;
  try {
    table = toml::parse(*ascii, file);
  } catch (const toml::parse_error& error) {
    const toml::source_position where = error.source().begin;
    draft.add_fault({file, where.line, where.column}, shown(error.description()));
    return draft;
  } catch (const std::exception& error) {
    draft.add_fault({file, 0, 0}, "cannot be parsed: " + shown(error.what()));
    return draft;
  }
  Decoder decoder(std::move(draft), file);
  decoder.root(*table);
  return std::move(decoder).take();
}

}  // namespace hvguard::config
