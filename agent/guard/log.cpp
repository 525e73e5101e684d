#include "guard/log.h"

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>
#include <spdlog/async.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

namespace hvguard::guard {
namespace {

int priority_of(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return 7;
    case spdlog::level::warn:
      return 4;
    case spdlog::level::err:
    case spdlog::level::critical:
      return 3;
    default:
      return 6;
  }
}

// One write() per line, so that lines of several processes do not mix.
class StderrSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit StderrSink(bool journal) : journal_(journal) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string_view text(message.payload.data(), message.payload.size());
    std::string line;
    if (journal_) {
      line = fmt::format("<{}>{}\n", priority_of(message.level), text);
    } else {
      const auto seconds = std::chrono::time_point_cast<std::chrono::seconds>(message.time);
      const auto level = spdlog::level::to_string_view(message.level);
      line = fmt::format("{:%Y-%m-%d %H:%M:%S} {:<7} {}\n",
                         fmt::localtime(std::chrono::system_clock::to_time_t(seconds)),
                         std::string_view(level.data(), level.size()),
                         text);
    }
    // A line that cannot be written has nowhere else to go.
    static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
  }
  void flush_() override {}

 private:
  bool journal_;
};

spdlog::level::level_enum level_of(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

void log_protobuf(google::protobuf::LogLevel /*level*/,
                  const char* /*file*/,
                  int /*line*/,
                  const std::string& message) {
  spdlog::debug("protobuf: {}", safe_text(message, 512));
}

}  // namespace

bool stderr_is_journal() {
  // systemd.exec(5): "device:inode" of the stream, so that a redirected stderr is told apart.
  const char* const stream = std::getenv("JOURNAL_STREAM");
  struct stat info{};
  if (stream == nullptr || ::fstat(STDERR_FILENO, &info) != 0) {
    return false;
  }
  return fmt::format("{}:{}", info.st_dev, info.st_ino) == stream;
}

Result<> start_log(LogLevel level) {
  // spdlog throws where no thread can be made: its exceptions end here.
  try {
    spdlog::init_thread_pool(kLogQueueLines, 1);
    auto logger =
        std::make_shared<spdlog::async_logger>("hvguardd",
                                               std::make_shared<StderrSink>(stderr_is_journal()),
                                               spdlog::thread_pool(),
                                               spdlog::async_overflow_policy::overrun_oldest);
    logger->set_level(level_of(level));
    spdlog::set_default_logger(std::move(logger));
    // It would write to standard error by itself, on the loop.
    google::protobuf::SetLogHandler(log_protobuf);
  } catch (const std::exception& error) {
    return fail(Errc::kInternal, fmt::format("start the log: {}", error.what()));
  }
  return {};
}

void set_log_level(LogLevel level) {
  spdlog::default_logger()->set_level(level_of(level));
}

std::uint64_t dropped_log_count() {
  const auto pool = spdlog::thread_pool();
  return pool ? pool->overrun_counter() : 0;
}

void stop_log() {
  spdlog::shutdown();
}

}  // namespace hvguard::guard
