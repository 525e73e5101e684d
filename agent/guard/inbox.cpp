#include "guard/inbox.h"

#include <cerrno>
#include <utility>

#include <sys/eventfd.h>

namespace hvguard::guard {

Result<std::unique_ptr<Inbox>> Inbox::create() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd.valid()) {
    return fail_errno(errno, "make the inbox's eventfd");
  }
  return std::unique_ptr<Inbox>(new Inbox(std::move(fd)));
}

bool Inbox::post(Item item) {
  {
    const std::lock_guard lock(mutex_);
    if (items_.size() >= kMaxItems) {
      ++dropped_count_;
      return false;
    }
    items_.push_back(std::move(item));
  }
  ::eventfd_write(fd_.get(), 1);  // fails only if it is readable anyway
  return true;
}

void Inbox::drain() {
  eventfd_t ignored = 0;
  ::eventfd_read(fd_.get(), &ignored);
  std::deque<Item> items;
  {
    const std::lock_guard lock(mutex_);
    items.swap(items_);
  }
  for (const Item& item : items) {
    item();
  }
}

std::uint64_t Inbox::dropped_count() const {
  const std::lock_guard lock(mutex_);
  return dropped_count_;
}

}  // namespace hvguard::guard
