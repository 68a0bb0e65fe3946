// SPDX-License-Identifier: Apache-2.0
#include "snapshotter/filter.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>

#include "common/base/log.hpp"

namespace daxfs::snapshotter {
namespace {

bool IsFieldByte(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}
bool IsOperatorByte(char c) { return c == '=' || c == '!' || c == '~'; }
bool IsQuote(char c) { return c == '"' || c == '/' || c == '|'; }
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsValueByte(char c) {
  return c != ',' && !IsSpace(c) && static_cast<unsigned char>(c) > 0x1f && c != 0x7f;
}

// What a letter after a backslash stands for.
std::optional<char> SimpleEscape(char letter) {
  constexpr std::string_view kLetters = "abfnrtv\\";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\";
  const std::size_t at = kLetters.find(letter);
  if (at == std::string_view::npos) return std::nullopt;
  return kMeanings[at];
}

std::optional<unsigned> DigitOf(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

void AppendUtf8(std::uint32_t code, std::string* out) {
  const auto tail = [&](unsigned shift) {
    out->push_back(static_cast<char>(0x80U | ((code >> shift) & 0x3fU)));
  };
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xc0U | (code >> 6U)));
    tail(0);
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xe0U | (code >> 12U)));
    tail(6);
    tail(0);
  } else {
    out->push_back(static_cast<char>(0xf0U | (code >> 18U)));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace

// One text from its front to its end.
class FilterParser {
 public:
  using Selector = Filter::Selector;
  using Operator = Filter::Operator;

  explicit FilterParser(std::string_view text) : text_(text) {}

  Result<std::vector<Selector>> Parse() {
    std::vector<Selector> selectors;
    do {
      ASSIGN_OR_RETURN(Selector selector, ParseSelector());
      selectors.push_back(std::move(selector));
    } while (Skip(','));
    if (!AtEnd()) return Error("unexpected input");
    return selectors;
  }

 private:
  bool AtEnd() const { return position_ == text_.size(); }
  char Here() const { return AtEnd() ? '\0' : text_[position_]; }
  bool Skip(char c) {
    if (AtEnd() || Here() != c) return false;
    ++position_;
    return true;
  }
  void SkipSpaces() {
    while (!AtEnd() && IsSpace(Here())) ++position_;
  }
  template <typename F>
  std::string_view Take(F belongs) {
    const std::size_t begin = position_;
    while (!AtEnd() && belongs(Here())) ++position_;
    return text_.substr(begin, position_ - begin);
  }
  Status Error(std::string_view what) const {
    return InvalidArgumentError("filter '" + base::Printable(text_) + "', byte " +
                                std::to_string(position_) + ": " + std::string(what));
  }

  Result<Selector> ParseSelector() {
    Selector selector;
    do {
      ASSIGN_OR_RETURN(std::string field, ParseField());
      selector.path.push_back(std::move(field));
    } while (Skip('.'));
    if (AtEnd() || Here() == ',') return selector;
    ASSIGN_OR_RETURN(selector.op, ParseOperator());
    ASSIGN_OR_RETURN(selector.value, ParseValue(selector.op == Operator::kMatches));
    if (selector.op == Operator::kMatches) {
      selector.pattern = std::make_shared<const re2::RE2>(selector.value, re2::RE2::Quiet);
    }
    return selector;
  }

  Result<std::string> ParseField() {
    SkipSpaces();
    if (Here() == '"') return ParseQuoted();
    const std::string_view field = Take(IsFieldByte);
    if (field.empty()) return Error("expected a field, or one in \"\"");
    return std::string(field);
  }

  Result<Operator> ParseOperator() {
    SkipSpaces();
    const std::string_view op = Take(IsOperatorByte);
    if (op == "==") return Operator::kEqual;
    if (op == "!=") return Operator::kNotEqual;
    if (op == "~=") return Operator::kMatches;
    return Error("expected one of == != ~=");
  }

  Result<std::string> ParseValue(bool is_pattern) {
    SkipSpaces();
    if (!AtEnd() && IsQuote(Here())) {
      if (Here() != '"' && !is_pattern) return Error("only a pattern may stand in // or ||");
      return ParseQuoted();
    }
    if (Here() == '.' || IsOperatorByte(Here())) return Error("expected a value");
    const std::string_view value = Take(IsValueByte);
    if (value.empty()) return Error("expected a value");
    return std::string(value);
  }

  // A Go string literal between two quotes that are equal.
  Result<std::string> ParseQuoted() {
    const char quote = text_[position_++];
    std::string value;
    for (;;) {
      if (AtEnd() || Here() == '\n') return Error("the quote does not end");
      const char c = text_[position_++];
      if (c == quote) return value;
      if (c != '\\') {
        value.push_back(c);
      } else {
        RETURN_IF_ERROR(ParseEscape(quote, &value));
      }
    }
  }

  Status ParseEscape(char quote, std::string* value) {
    const char c = Here();
    if (const std::optional<char> simple = SimpleEscape(c); simple || c == quote) {
      ++position_;
      value->push_back(c == quote ? quote : *simple);
      return Status::Ok();
    }
    if (c >= '0' && c <= '7') return ParseNumber(8, 3, 0xff, value);
    if (c != 'x' && c != 'u' && c != 'U') return Error("no such escape");
    ++position_;
    if (c == 'x') return ParseNumber(16, 2, 0xff, value);
    return ParseNumber(16, c == 'u' ? 4 : 8, 0x10ffff, value);
  }

  // Up to 0xff a byte, beyond a character.
  Status ParseNumber(unsigned base, unsigned digits, std::uint32_t max, std::string* value) {
    std::uint64_t number = 0;
    for (unsigned i = 0; i < digits; ++i) {
      const std::optional<unsigned> digit = DigitOf(Here());
      if (!digit || *digit >= base) return Error("expected a digit");
      number = number * base + *digit;
      ++position_;
    }
    if (number > max) return Error("no such character");
    if (max == 0xff) {
      value->push_back(static_cast<char>(number));
    } else {
      AppendUtf8(static_cast<std::uint32_t>(number), value);
    }
    return Status::Ok();
  }

  const std::string_view text_;
  std::size_t position_ = 0;
};

Result<Filter> Filter::Parse(const std::vector<std::string>& texts) {
  Filter filter;
  for (const std::string& text : texts) {
    if (text.empty()) {
      filter.any_of_.emplace_back();
      continue;
    }
    ASSIGN_OR_RETURN(std::vector<Selector> selectors, FilterParser(text).Parse());
    filter.any_of_.push_back(std::move(selectors));
  }
  return filter;
}

bool Filter::Matches(const Info& info) const {
  const auto all_match = [&](const std::vector<Selector>& selectors) {
    return std::all_of(selectors.begin(), selectors.end(),
                       [&](const Selector& selector) { return selector.Matches(info); });
  };
  return any_of_.empty() || std::any_of(any_of_.begin(), any_of_.end(), all_match);
}

namespace {

// The value of a field, nothing if it is not there.
std::optional<std::string> FieldOf(const Info& info, const std::vector<std::string>& path) {
  if (path.front() == "name") return info.name;
  if (path.front() == "parent") return info.parent;
  if (path.front() == "kind") return KindName(info.kind);
  if (path.front() != "labels") return std::nullopt;
  std::string key;
  for (std::size_t i = 1; i < path.size(); ++i) key += (i > 1 ? "." : "") + path[i];
  const auto label = info.labels.find(key);
  if (label == info.labels.end()) return std::nullopt;
  return label->second;
}

}  // namespace

bool Filter::Selector::Matches(const Info& info) const {
  const std::optional<std::string> found = FieldOf(info, path);
  switch (op) {
    case Operator::kPresent:
      return found.has_value();
    case Operator::kEqual:
      return found == value;
    case Operator::kNotEqual:
      return found.value_or("") != value;
    case Operator::kMatches:
      return pattern->ok() && re2::RE2::PartialMatch(found.value_or(""), *pattern);
  }
  return false;
}

const char* KindName(Kind kind) {
  switch (kind) {
    case Kind::kView:
      return "view";
    case Kind::kActive:
      return "active";
    case Kind::kCommitted:
      return "committed";
  }
  return "unknown";
}

}  // namespace daxfs::snapshotter
