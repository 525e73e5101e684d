#include "spool/rights.h"

#include <array>
#include <cerrno>

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace hvguard::spool {

Result<> drop_capabilities() {
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL) {
    return fail_errno(errno, "give up ambient capabilities");
  }
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  // glibc has no wrapper, and libcap would be one more library for one call.
  if (::syscall(SYS_capset, &header, none.data()) != 0) {
    return fail_errno(errno, "give up capabilities");
  }
  return {};
}

}  // namespace hvguard::spool
