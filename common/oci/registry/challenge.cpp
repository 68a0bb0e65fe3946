// SPDX-License-Identifier: Apache-2.0
#include "common/oci/registry/challenge.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

namespace daxfs::oci {
namespace {

bool IsTokenCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// What is left of the field.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  void SkipSpaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size())); }
  void SkipCommas() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t,"), rest_.size()));
  }
  bool Take(char c) {
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool empty() const { return rest_.empty(); }

  // Empty if there is none.
  std::string_view Token() {
    const auto length = static_cast<std::size_t>(
        std::find_if_not(rest_.begin(), rest_.end(), IsTokenCharacter) - rest_.begin());
    const std::string_view token = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return token;
  }

  // Behind the first quote; false if it does not end.
  bool Quoted(std::string* out) {
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (c == '\\' && rest_.empty()) return false;
      out->push_back(c == '\\' ? rest_.front() : c);
      if (c == '\\') rest_.remove_prefix(1);
    }
    return false;
  }

  std::string_view rest() const { return rest_; }
  void Return(std::string_view rest) { rest_ = rest; }

 private:
  std::string_view rest_;
};

// One "name=value"; false, and nothing taken, where there is none.
bool TakeParameter(Scanner& scanner, Challenge* challenge) {
  const std::string_view before = scanner.rest();
  scanner.SkipCommas();
  const std::string name = Lower(scanner.Token());
  scanner.SkipSpaces();
  if (name.empty() || !scanner.Take('=')) {
    scanner.Return(before);
    return false;
  }
  scanner.SkipSpaces();
  std::string value;
  if (scanner.Take('"')) {
    if (!scanner.Quoted(&value)) return false;
  } else {
    value = scanner.Token();
  }
  challenge->parameters.emplace(name, std::move(value));
  return true;
}

}  // namespace

std::string Challenge::Get(const std::string& name) const {
  const auto found = parameters.find(name);
  return found == parameters.end() ? std::string() : found->second;
}

std::vector<Challenge> ParseChallenges(std::string_view field) {
  std::vector<Challenge> out;
  Scanner scanner(field);
  for (;;) {
    scanner.SkipCommas();
    Challenge challenge;
    challenge.scheme = Lower(scanner.Token());
    if (challenge.scheme.empty()) return out;
    while (TakeParameter(scanner, &challenge)) {
    }
    out.push_back(std::move(challenge));
  }
}

}  // namespace daxfs::oci
