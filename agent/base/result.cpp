#include "base/result.h"

#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace hvguard {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::kNotFound:
      return "not found";
    case Errc::kGone:
      return "gone";
    case Errc::kDenied:
      return "denied";
    case Errc::kUnsupported:
      return "unsupported";
    case Errc::kInvalid:
      return "invalid";
    case Errc::kTimeout:
      return "timeout";
    case Errc::kUnavailable:
      return "unavailable";
    case Errc::kExhausted:
      return "exhausted";
    case Errc::kInternal:
      break;
  }
  return "internal";
}

Error Error::context(std::string_view what) && {
  message = fmt::format("{}: {}", what, message);
  return std::move(*this);
}

Errc errc_from_errno(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ESRCH:
    case ENODEV:
    case ENXIO:
      return Errc::kGone;
    case EPERM:
    case EACCES:
      return Errc::kDenied;
    case EOPNOTSUPP:
    case ENOSYS:
      return Errc::kUnsupported;
    case EINVAL:
    case ERANGE:
      return Errc::kInvalid;
    case ETIMEDOUT:
      return Errc::kTimeout;
    case EAGAIN:
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
      return Errc::kUnavailable;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC:
    case ENOBUFS:
    case E2BIG:
      return Errc::kExhausted;
    default:
      return Errc::kInternal;
  }
}

tl::unexpected<Error> fail(Errc code, std::string message) {
  return tl::unexpected<Error>(Error{code, 0, std::move(message)});
}

tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

tl::unexpected<Error> fail_errno(int sys_errno, std::string_view what) {
  // generic_category() is thread-safe where strerror is not.
  return tl::unexpected<Error>(
      Error{errc_from_errno(sys_errno),
            sys_errno,
            fmt::format("{}: {}", what, std::generic_category().message(sys_errno))});
}

}  // namespace hvguard
