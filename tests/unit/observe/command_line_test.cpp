#include "observe/command_line.h"

#include <string>

#include <gtest/gtest.h>

#include "tree.h"

namespace hvguard::observe {
namespace {

using test::words;

constexpr std::uint64_t kMebibyte = 1ULL << 20;
constexpr std::uint64_t kGibibyte = 1ULL << 30;

CommandLineFacts qemu(std::string_view blank_separated) {
  return parse_command_line("qemu-system-x86_64", words(blank_separated));
}

TEST(Manager, ByExecutable) {
  EXPECT_EQ(manager_of("qemu-system-x86_64"), VmManager::kQemu);
  EXPECT_EQ(manager_of("qemu-kvm"), VmManager::kQemu);
  EXPECT_EQ(manager_of("kvm"), VmManager::kQemu);
  EXPECT_EQ(manager_of("firecracker"), VmManager::kFirecracker);
  EXPECT_EQ(manager_of("cloud-hypervisor"), VmManager::kCloudHypervisor);
  EXPECT_EQ(manager_of("crosvm"), VmManager::kCrosvm);
  EXPECT_EQ(manager_of("qemu-img"), VmManager::kUnknown);
}

TEST(Qemu, AsLibvirtStartsIt) {
  const auto facts = qemu(
      "/usr/bin/qemu-system-x86_64 -name guest=web-1,debug-threads=on -S -object "
      "{\"qom-type\":\"secret\"} -machine "
      "pc-q35-7.2,usb=off,dump-guest-core=off,memory-backend=pc.ram "
      "-accel kvm -cpu host -m size=4194304k,slots=16,maxmem=8388608k -overcommit mem-lock=off "
      "-smp 4,sockets=4,cores=1,threads=1 -uuid 5B6E7C1A-0001-4F00-8000-00000000ABCD "
      "-no-user-config");
  EXPECT_EQ(facts.name, "web-1");
  EXPECT_EQ(facts.uuid, "5b6e7c1a-0001-4f00-8000-00000000abcd");
  EXPECT_EQ(facts.accelerator, Accelerator::kKvm);
  EXPECT_EQ(facts.guest_memory_bytes, 4 * kGibibyte);
  EXPECT_EQ(facts.vcpu_count, 4U);
}

TEST(Qemu, AsProxmoxStartsIt) {
  const auto facts = parse_command_line(
      "qemu-system-x86_64",
      words("/usr/bin/kvm -id 100 -name web,debug-threads=on -no-shutdown -daemonize -smbios "
            "type=1,uuid=5b6e7c1a-0001-4f00-8000-00000000abcd -smp 2,sockets=1,cores=2,maxcpus=2 "
            "-m 2048 -machine type=pc+pve0 -accel tcg"));
  EXPECT_EQ(facts.name, "web");
  EXPECT_EQ(facts.uuid, "5b6e7c1a-0001-4f00-8000-00000000abcd");
  EXPECT_EQ(facts.guest_memory_bytes, 2 * kGibibyte);
  EXPECT_EQ(facts.vcpu_count, 2U);
  EXPECT_EQ(facts.accelerator, Accelerator::kTcg);
  EXPECT_EQ(qemu("kvm -id 100 -m 1G").name, "100");
}

TEST(Qemu, MemoryForms) {
  struct Case {
    std::string_view option;
    std::optional<std::uint64_t> bytes;
  };
  for (const auto& c : {Case{"-m 512", 512 * kMebibyte},
                        Case{"-m 512M", 512 * kMebibyte},
                        Case{"--m 2048M", 2 * kGibibyte},
                        Case{"-m 1G", kGibibyte},
                        Case{"-m 1.5g", 3 * kGibibyte / 2},
                        Case{"-m size=1G,slots=2,maxmem=4G", kGibibyte},
                        Case{"-m slots=2,size=1024", kGibibyte},
                        Case{"-m 1024,maxmem=4G", kGibibyte},
                        Case{"-m 1T", 1024 * kGibibyte},
                        Case{"-m 1 -m 2", 2 * kMebibyte},
                        Case{"-m", std::nullopt},
                        Case{"-m 0", std::nullopt},
                        Case{"-m x", std::nullopt},
                        Case{"-m 99999999999999999999", std::nullopt},
                        Case{"-m 99999999999E", std::nullopt},
                        Case{"-smp 1", std::nullopt}}) {
    EXPECT_EQ(qemu("qemu " + std::string(c.option)).guest_memory_bytes, c.bytes) << c.option;
  }
}

TEST(Qemu, SmpForms) {
  struct Case {
    std::string_view option;
    std::optional<std::uint32_t> count;
  };
  for (const auto& c : {Case{"-smp 4", 4},
                        Case{"-smp cpus=4,maxcpus=8", 4},
                        Case{"-smp maxcpus=8", 8},
                        Case{"-smp sockets=2,cores=4,threads=2", 16},
                        Case{"-smp 0", std::nullopt},
                        Case{"-smp 99999999", std::nullopt},
                        Case{"-smp sockets=65536,cores=65536,threads=65536", std::nullopt},
                        Case{"-smp", std::nullopt},
                        Case{"-m 1", std::nullopt}}) {
    EXPECT_EQ(qemu("qemu " + std::string(c.option)).vcpu_count, c.count) << c.option;
  }
}

TEST(Qemu, AcceleratorForms) {
  struct Case {
    std::string_view option;
    Accelerator accelerator;
  };
  for (const auto& c : {Case{"-accel tcg", Accelerator::kTcg},
                        Case{"-accel kvm,kernel-irqchip=split", Accelerator::kKvm},
                        Case{"-accel accel=kvm", Accelerator::kKvm},
                        Case{"-enable-kvm", Accelerator::kKvm},
                        Case{"-machine q35,accel=kvm", Accelerator::kKvm},
                        Case{"-machine accel=kvm:tcg", Accelerator::kUnknown},
                        Case{"-M accel=tcg:kvm", Accelerator::kTcg},
                        Case{"-accel kvm -accel tcg", Accelerator::kUnknown},
                        Case{"-m 1", Accelerator::kTcg}}) {
    EXPECT_EQ(qemu("qemu " + std::string(c.option)).accelerator, c.accelerator) << c.option;
  }
  EXPECT_EQ(parse_command_line("qemu-kvm", words("qemu-kvm -m 1")).accelerator,
            Accelerator::kUnknown);
}

TEST(Qemu, NameForms) {
  EXPECT_EQ(qemu("qemu -name web").name, "web");
  EXPECT_EQ(qemu("qemu -name debug-threads=on,guest=db").name, "db");
  EXPECT_EQ(qemu("qemu -name a,,b,process=x").name, "a,b");
  EXPECT_EQ(qemu("qemu -name guest=a=b").name, "a=b");
  EXPECT_EQ(qemu("qemu -uuid 5b6e7c1a-0001-4f00-8000-00000000abcd").name,
            "5b6e7c1a-0001-4f00-8000-00000000abcd");
  EXPECT_EQ(qemu("qemu -uuid not-a-uuid").uuid, "");
  EXPECT_EQ(qemu("qemu -name").name, "");
  EXPECT_EQ(qemu("qemu disk-name -m 1").name, "");
}

// What guests' owners choose reaches terminals and journals.
TEST(Qemu, HostileNamesAreMadeSafeAndBounded) {
  const auto nasty = parse_command_line(
      "qemu-system-x86_64", std::string("qemu\0-name\0we\x1b[2Jb\n)(\xff\xe2\x80\xae\0", 26));
  EXPECT_EQ(nasty.name, "we\\x1b[2Jb\\x0a)(\\xff\\xe2\\x80\\xae");
  const auto huge =
      parse_command_line("qemu-system-x86_64", words("qemu -name " + std::string(16384, 'x')));
  EXPECT_LE(huge.name.size(), kMaxNameBytes);
  EXPECT_GE(huge.name.size(), kMaxNameBytes - 4);
}

TEST(Qemu, TruncatedInTheMiddleOfAWord) {
  const std::string whole = words("qemu -name web -m 4096");
  const auto facts = parse_command_line("qemu-system-x86_64", whole.substr(0, whole.size() - 3));
  EXPECT_EQ(facts.name, "web");
  EXPECT_EQ(facts.guest_memory_bytes, 40 * kMebibyte);
  EXPECT_EQ(parse_command_line("qemu-system-x86_64", "").name, "");
}

TEST(Firecracker, IdIsTheName) {
  for (const auto* const line : {"firecracker --id vm-7 --api-sock /run/fc.sock",
                                 "firecracker --id=vm-7",
                                 "/firecracker --no-api --id vm-7"}) {
    const auto facts = parse_command_line("firecracker", words(line));
    EXPECT_EQ(facts.name, "vm-7") << line;
    EXPECT_EQ(facts.accelerator, Accelerator::kKvm);
    EXPECT_FALSE(facts.guest_memory_bytes) << "comes through its API";
  }
}

TEST(CloudHypervisor, Reads) {
  const auto facts = parse_command_line(
      "cloud-hypervisor",
      words("cloud-hypervisor --api-socket /run/ch/web.sock --cpus boot=2,max=4 --memory "
            "size=1G,shared=on --platform uuid=5b6e7c1a-0001-4f00-8000-00000000abcd"));
  EXPECT_EQ(facts.name, "web");
  EXPECT_EQ(facts.vcpu_count, 2U);
  EXPECT_EQ(facts.guest_memory_bytes, kGibibyte);
  EXPECT_EQ(facts.uuid, "5b6e7c1a-0001-4f00-8000-00000000abcd");
}

TEST(CloudHypervisor, GenericSocketTakesItsDirectory) {
  const auto name = [](std::string_view line) {
    return parse_command_line("cloud-hypervisor", words(line)).name;
  };
  EXPECT_EQ(name("ch --api-socket=/run/vc/vm/abc123/clh-api.sock"), "abc123");
  EXPECT_EQ(name("ch --api-socket path=/run/x.sock"), "x");
  EXPECT_EQ(name("ch --api-socket api.sock"), "api");
  EXPECT_EQ(name("ch --api-socket"), "");
}

TEST(Crosvm, Reads) {
  const auto facts = parse_command_line(
      "crosvm",
      words("crosvm run --name android --cpus num-cores=3 --mem size=2048 --socket /s/a"));
  EXPECT_EQ(facts.name, "android");
  EXPECT_EQ(facts.vcpu_count, 3U);
  EXPECT_EQ(facts.guest_memory_bytes, 2 * kGibibyte);
  const auto brief = parse_command_line("crosvm", words("crosvm run -c 2 -m 512 -s /run/arc.sock"));
  EXPECT_EQ(brief.name, "arc");
  EXPECT_EQ(brief.vcpu_count, 2U);
  EXPECT_EQ(brief.guest_memory_bytes, 512 * kMebibyte);
}

TEST(Size, Forms) {
  EXPECT_EQ(parse_size("1", 1), 1U);
  EXPECT_EQ(parse_size("1K", 1), 1024U);
  EXPECT_EQ(parse_size("1MiB", 1), kMebibyte);
  EXPECT_EQ(parse_size("0.5G", 1), kGibibyte / 2);
  EXPECT_EQ(parse_size("18446744073709551615", 1), 18446744073709551615U);
  for (const auto* const text : {"",
                                 "0",
                                 "G",
                                 ".5G",
                                 "1.5.5G",
                                 "1X",
                                 "1KK",
                                 "0x10",
                                 "-1",
                                 "1 G",
                                 "16E",
                                 "18446744073709551616"}) {
    EXPECT_FALSE(parse_size(text, 1)) << text;
  }
}

}  // namespace
}  // namespace hvguard::observe
