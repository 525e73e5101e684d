// What the tests of BlockIoReader share.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "io_load.h"
#include "lab.h"
#include "observe/ebpf/block_io.h"

namespace hvguard::observe {

inline BlockIoReader open_block_io(const BlockIoOptions& options = {},
                                   const BpfSupport& support = probe_bpf("/")) {
  auto reader = BlockIoReader::open(support, options);
  if (!reader) {
    ADD_FAILURE() << reader.error().message;
    std::abort();
  }
  return std::move(*reader);
}

inline std::vector<BlockIoReading> readings_of(BlockIoReader& reader) {
  auto readings = reader.read();
  EXPECT_TRUE(readings) << readings.error().message;
  return readings ? std::move(*readings) : std::vector<BlockIoReading>{};
}

inline std::optional<BlockIoReading> reading_of(BlockIoReader& reader,
                                                const std::optional<VmId>& vm,
                                                DeviceId device) {
  for (BlockIoReading& reading : readings_of(reader)) {
    if (reading.vm == vm && reading.device == device) {
      return std::move(reading);
    }
  }
  return std::nullopt;
}

inline const IoOperationReading& counts(const BlockIoReading& reading, IoOperation operation) {
  return reading.by_operation.at(static_cast<std::size_t>(operation));
}

inline std::uint64_t total(const LatencyHistogram& histogram) {
  std::uint64_t sum = 0;
  for (const std::uint64_t bucket : histogram) {
    sum += bucket;
  }
  return sum;
}

// A stand-in for a VM manager: waits until its IO may begin, does it, and exits.
class Manager {
 public:
  explicit Manager(std::function<void()> io)
      : process_([this, body = std::move(io)] {
          while (lab::load(shared_->go) == 0) {
            ::usleep(500);
          }
          body();
        }) {}

  [[nodiscard]] VmId id() const {
    return {process_.pid(), lab::start_time(process_.pid()), CgroupId{1}};
  }
  // How many of its threads are in D.
  [[nodiscard]] int blocked_threads() const { return lab::blocked_threads(process_.pid()); }
  void go() { lab::store(shared_->go, 1); }
  int run() {
    go();
    return process_.wait();
  }

 private:
  lab::SharedMemory shared_;
  lab::Process process_;
};

}  // namespace hvguard::observe
