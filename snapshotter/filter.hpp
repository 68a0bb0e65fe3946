// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.hpp"
#include "snapshotter/snapshot.hpp"

namespace re2 {
class RE2;
}

namespace daxfs::snapshotter {

// Filters of List in the grammar of containerd (pkg/filters):
//
//   filter   := selector ("," selector)*           all have to match
//   selector := field ("." field)* [operator value]  without operator: it is there
//   field    := quoted | [A-Za-z0-9_]+
//   operator := "==" | "!=" | "~="                 "~=": an RE2 pattern, anywhere in the value
//   value    := quoted | [^\s,]+
//   quoted   := a Go string literal; after "~=" also between // or ||
//
// Fields are name, parent, kind and labels.KEY, whose KEY may have dots. What is not there has the
// value "" for "!=" and "~=", and never matches "==". A pattern that is none matches nothing.
class Filter {
 public:
  // Matches what any of `texts` matches, and everything if there are none; "" matches everything.
  // Errors: kInvalidArgument, with the place.
  static Result<Filter> Parse(const std::vector<std::string>& texts);

  bool Matches(const Info& info) const;

 private:
  friend class FilterParser;
  enum class Operator { kPresent, kEqual, kNotEqual, kMatches };
  struct Selector {
    std::vector<std::string> path;
    Operator op = Operator::kPresent;
    std::string value;
    std::shared_ptr<const re2::RE2> pattern;  // of kMatches
    bool Matches(const Info& info) const;
  };
  std::vector<std::vector<Selector>> any_of_;
};

}  // namespace daxfs::snapshotter
