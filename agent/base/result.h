// Result<T>: the one way a function of ours says that it could not do its work. Nothing throws.
// Used everywhere, on any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace hvguard {

// Kinds of failure; gateway/ maps each to one gRPC code, so the set is chosen to make that total.
enum class Errc {
  kNotFound,     // no such thing is configured or known
  kGone,         // it existed and has vanished (ENOENT, ESRCH, ENODEV): a fact, not a fault
  kDenied,       // permission or capability is missing
  kUnsupported,  // this kernel or build cannot do it
  kInvalid,      // the input is wrong; the message names it and the remedy
  kTimeout,      // a deadline passed
  kUnavailable,  // a peer or resource is not there now; trying again may help
  kExhausted,    // a bound was reached
  kInternal,     // anything else
};

[[nodiscard]] std::string_view to_string(Errc code);

struct Error {
  Errc code = Errc::kInternal;
  int sys_errno = 0;    // errno behind it, 0 if none
  std::string message;  // outermost first: "limit vm-17: set io.max on 254:0: permission denied"

  // The same error as seen from one call further out.
  [[nodiscard]] Error context(std::string_view what) &&;
};

// Errc that an errno stands for: ENOENT, ESRCH, ENODEV → kGone; EPERM, EACCES → kDenied; …
[[nodiscard]] Errc errc_from_errno(int sys_errno);

template <class T = void>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

[[nodiscard]] tl::unexpected<Error> fail(Errc code, std::string message);
[[nodiscard]] tl::unexpected<Error> fail(Error error);
// "what: No such file or directory", with the code that errno maps to.
[[nodiscard]] tl::unexpected<Error> fail_errno(int sys_errno, std::string_view what);

}  // namespace hvguard
