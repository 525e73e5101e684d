// Spool: keeps the boot record while the host runs, and tells hvguardd what it found at the start.
// One thread, which may hang with the disk at any moment: nobody waits for this process.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "link/core_connection.h"
#include "spool/options.h"
#include "spool/record_file.h"
#include "spool/recorder.h"

namespace hvguard::spool {

class Spool {
 public:
  // Reads the record and, after a reboot, pstore. Gives up all capabilities then. `stop_fd` is
  // readable when the process shall end; it stays the caller's.
  static Result<Spool> start(const Options& options, int stop_fd);

  // Until stop_fd is readable; leaves the mark of a stop or a shutdown behind.
  void run();

 private:
  Spool(Options options, int stop_fd, RecordFile file, Recorder recorder)
      : options_(std::move(options)),
        stop_fd_(stop_fd),
        file_(std::move(file)),
        recorder_(std::move(recorder)) {}

  void serve(link::CoreConnection& connection);
  void write_last_mark();
  void write(v1::BootRecord::State state);
  void write_if_due();
  void wait_until(BootTime deadline);
  void report_down(const std::string& why);
  [[nodiscard]] bool stopping() const;

  Options options_;
  int stop_fd_;
  RecordFile file_;
  Recorder recorder_;
  std::string record_error_;  // why the last write failed; empty if it did not
  std::string down_;          // why there is no connection, said once
};

}  // namespace hvguard::spool
