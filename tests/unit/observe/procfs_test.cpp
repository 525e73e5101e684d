#include "observe/procfs.h"

#include <string>

#include <gtest/gtest.h>

namespace hvguard::observe {
namespace {

TEST(Pressure, ReadsBothLines) {
  const auto pressure = parse_pressure(
      "some avg10=12.34 avg60=5.00 avg300=100.00 total=123456789\n"
      "full avg10=0.50 avg60=0.00 avg300=0.00 total=42\n");
  ASSERT_TRUE(pressure && pressure->some && pressure->full);
  EXPECT_DOUBLE_EQ(pressure->some->avg10_ratio, 0.1234);
  EXPECT_DOUBLE_EQ(pressure->some->avg60_ratio, 0.05);
  EXPECT_DOUBLE_EQ(pressure->some->avg300_ratio, 1.0);
  EXPECT_EQ(pressure->some->total_microseconds.value, 123456789U);
  EXPECT_EQ(pressure->full->total_microseconds.value, 42U);
}

TEST(Pressure, CpuOfOldKernelsHasNoFullLine) {
  const auto pressure = parse_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=7");
  ASSERT_TRUE(pressure && pressure->some);
  EXPECT_EQ(pressure->some->total_microseconds.value, 7U);
  EXPECT_FALSE(pressure->full);
}

TEST(Pressure, ColumnsToComeAreIgnored) {
  const auto pressure = parse_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=7 new=1\n");
  ASSERT_TRUE(pressure && pressure->some);
}

TEST(Pressure, WhatIsBrokenIsAbsent) {
  for (const auto* const text :
       {"",
        "some",
        "some avg10=0.00 avg60=0.00 avg300=0.00",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=max",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=-1",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=18446744073709551616",
        "some avg10=nan avg60=0.00 avg300=0.00 total=1",
        "some avg10=100.01 avg60=0.00 avg300=0.00 total=1",
        "full\nsome\n"}) {
    EXPECT_FALSE(parse_pressure(text)) << text;
  }
}

TEST(Vmstat, TakesTheKnownKeysWhereverTheyStand) {
  const auto vmstat = parse_vmstat(
      "nr_free_pages 1\npswpin 10\npswpout 20\npgmajfault 30\noom_kill 40\n"
      "workingset_refault_anon 50\nworkingset_refault_file 18446744073709551615");
  EXPECT_EQ(vmstat.swap_in_pages, Counter{10});
  EXPECT_EQ(vmstat.swap_out_pages, Counter{20});
  EXPECT_EQ(vmstat.major_faults, Counter{30});
  EXPECT_EQ(vmstat.oom_kills, Counter{40});
  EXPECT_EQ(vmstat.refault_anon_pages, Counter{50});
  EXPECT_EQ(vmstat.refault_file_pages, Counter{18446744073709551615U});
}

TEST(Vmstat, MissingIsNotZero) {
  const auto vmstat = parse_vmstat("pswpin\npswpout x\npgmajfault 99999999999999999999\noom_kil 4");
  EXPECT_FALSE(vmstat.swap_in_pages);
  EXPECT_FALSE(vmstat.swap_out_pages);
  EXPECT_FALSE(vmstat.major_faults);
  EXPECT_FALSE(vmstat.oom_kills);
}

TEST(Meminfo, KibibytesBecomeBytes) {
  const auto meminfo = parse_meminfo(
      "MemTotal:       24669096 kB\nMemAvailable:   1 kB\nSwapTotal: 2 kB\nSwapFree: 0 kB\n"
      "Dirty:      3 kB\nWriteback:    4 kB\nWritebackTmp:    9 kB\n");
  EXPECT_EQ(meminfo.total_bytes, 24669096ULL * 1024);
  EXPECT_EQ(meminfo.available_bytes, 1024U);
  EXPECT_EQ(meminfo.swap_total_bytes, 2048U);
  EXPECT_EQ(meminfo.swap_free_bytes, 0U);
  EXPECT_EQ(meminfo.dirty_bytes, 3072U);
  EXPECT_EQ(meminfo.writeback_bytes, 4096U);
}

TEST(Meminfo, HugeAndMissingAreAbsent) {
  const auto meminfo = parse_meminfo("MemTotal: 18446744073709551615 kB\nMemAvailable:\n");
  EXPECT_FALSE(meminfo.total_bytes);
  EXPECT_FALSE(meminfo.available_bytes);
  EXPECT_FALSE(meminfo.swap_total_bytes);
}

TEST(LoadavgLine, ReadsAll) {
  const auto line = parse_loadavg("1000.04 0.03 0.05 1/234567 5678\n");
  ASSERT_TRUE(line);
  EXPECT_DOUBLE_EQ(line->load.one_minute, 1000.04);
  EXPECT_DOUBLE_EQ(line->load.fifteen_minutes, 0.05);
  EXPECT_EQ(line->load.thread_count, 234567U);
  EXPECT_EQ(line->newest_pid, 5678);
}

TEST(LoadavgLine, BrokenIsNone) {
  for (const auto* const text :
       {"", "1 2", "a b c 1/2 3", "0.1 0.1 0.1 12 3", "0.1 0.1 0.1 1/ 3"}) {
    EXPECT_FALSE(parse_loadavg(text)) << text;
  }
}

TEST(Diskstats, ReadsALineOfEachAge) {
  for (const auto* const line : {" 254       0 vda 1 2 3 4 5 6 7 8 9 10 11",
                                 " 254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
                                 "254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 new"}) {
    const auto disk = parse_diskstats_line(line);
    ASSERT_TRUE(disk) << line;
    EXPECT_EQ(disk->id, (DeviceId{254, 0}));
    EXPECT_EQ(disk->name, "vda");
    EXPECT_EQ(disk->read_operations.value, 1U);
    EXPECT_EQ(disk->read_bytes.value, 3U * 512);
    EXPECT_EQ(disk->write_operations.value, 5U);
    EXPECT_EQ(disk->write_bytes.value, 7U * 512);
    EXPECT_EQ(disk->in_flight_count, 9U);
    EXPECT_EQ(disk->busy_microseconds.value, 10000U);
  }
}

TEST(Diskstats, BrokenIsNone) {
  for (const auto* const line : {"",
                                 "254 0",
                                 "254 0 vda 1 2 3",
                                 "254 0 vda 1 2 3 4 5 6 7 8 9",
                                 "x 0 vda 1 2 3 4 5 6 7 8 9 10 11",
                                 "254 0 vda 1 2 18446744073709551615 4 5 6 7 8 9 10 11",
                                 "254 0 vda 1 2 3 4 5 6 7 8 -9 10 11"}) {
    EXPECT_FALSE(parse_diskstats_line(line)) << line;
  }
}

TEST(TaskStatus, ReadsWhatIsUsed) {
  const auto status = parse_task_status(
      "Name:\tqemu-system-x86\nUmask:\t0022\nState:\tD (disk "
      "sleep)\nTgid:\t77\nNgid:\t0\nPid:\t78\n"
      "VmSize:\t  100 kB\nVmRSS:\t   50 kB\nThreads:\t4\n"
      "voluntary_ctxt_switches:\t100\nnonvoluntary_ctxt_switches:\t11\n");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->comm, "qemu-system-x86");
  EXPECT_EQ(status->state, 'D');
  EXPECT_EQ(status->tgid, 77);
  EXPECT_EQ(status->pid, 78);
  EXPECT_EQ(status->resident_bytes, 50U * 1024);
  EXPECT_EQ(status->thread_count, 4U);
  EXPECT_EQ(status->switch_count, 111U);
  EXPECT_TRUE(status->has_memory);
}

// The kernel writes newline and backslash of a comm as \n and \\, so that no line can be forged.
TEST(TaskStatus, HostileCommForgesNothing) {
  const auto status =
      parse_task_status("Name:\tx\\nState:\tR (runn\nState:\tD (disk sleep)\nTgid:\t5\nPid:\t5\n");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->comm, "x\nState:\tR (runn");
  EXPECT_EQ(status->state, 'D');
  const auto backslash = parse_task_status("Name:\ta\\\\nb\nState:\tS\nTgid:\t5\nPid:\t5\n");
  ASSERT_TRUE(backslash);
  EXPECT_EQ(backslash->comm, "a\\nb");
}

TEST(TaskStatus, TruncatedIsNone) {
  EXPECT_FALSE(parse_task_status(""));
  EXPECT_FALSE(parse_task_status("Name:\tx\n"));
  EXPECT_FALSE(parse_task_status("Name:\tx\nState:\n"));
  EXPECT_FALSE(parse_task_status("Name:\tx\nState:\tD\nTgid:\t99999999999\n"));
  EXPECT_TRUE(parse_task_status("State:\tD\nTgid:\t1"));
}

TEST(StatStart, CountsFromTheLastParenthesis) {
  const std::string tail = " S 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 8123 1 1\n";
  EXPECT_EQ(parse_stat_start_ticks("4711 (qemu)" + tail), 8123U);
  EXPECT_EQ(parse_stat_start_ticks("4711 (a) S 1 2 3 (b)" + tail), 8123U);
  EXPECT_EQ(parse_stat_start_ticks("4711 (a\n) R)" + tail), 8123U);
  EXPECT_FALSE(parse_stat_start_ticks("4711 (qemu) S 1 1"));
  EXPECT_FALSE(parse_stat_start_ticks(""));
}

TEST(Cgroup2Mount, IsFoundAmongOthers) {
  EXPECT_EQ(parse_cgroup2_mount(
                "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
                "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n"),
            "/sys/fs/cgroup/unified");
  EXPECT_EQ(parse_cgroup2_mount("41 31 0:38 / /a\\040b rw - cgroup2 cgroup2 rw"), "/a b");
  EXPECT_EQ(parse_cgroup2_mount("41 31 0:38 /sub /mnt rw - cgroup2 cgroup2 rw\n"), "");
  EXPECT_EQ(parse_cgroup2_mount("41 31 0:38 / /cgroup2 rw - ext4 /dev/cgroup2 rw\n"), "");
  EXPECT_EQ(parse_cgroup2_mount(""), "");
}

TEST(Sysctl, OneNumber) {
  EXPECT_EQ(parse_sysctl_unsigned("120\n"), 120U);
  EXPECT_EQ(parse_sysctl_signed("-1\n"), -1);
  EXPECT_FALSE(parse_sysctl_unsigned("-1\n"));
  EXPECT_FALSE(parse_sysctl_unsigned("1 2\n"));
  EXPECT_FALSE(parse_sysctl_unsigned(""));
}

}  // namespace
}  // namespace hvguard::observe
