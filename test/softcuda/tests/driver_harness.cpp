#include "driver_harness.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

namespace softcuda::test {

namespace {

std::string contents(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

constexpr struct {
  const char *variable, *file;
} files[] = {{"SOFTCUDA_LEAKS", "leaks"},
             {"SOFTCUDA_FAULTS", "faults"},
             {"SOFTCUDA_TRACE", "trace"},
             {"SOFTCUDA_REPORT", "report"}};

[[noreturn]] void child(const std::string& folder, const Environment& environment, const std::function<void()>& body) {
  if (!std::freopen((folder + "/errors").c_str(), "w", stderr)) std::_Exit(2);
  for (const auto& entry : files) setenv(entry.variable, (folder + "/" + entry.file).c_str(), 1);
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  body();
  std::exit(0);  // destructors of libraries run: the leak report
}

}  // namespace

void require(bool condition, const char* text, const char* file, int line) {
  if (condition) return;
  std::fprintf(stderr, "%s:%d: expected %s\n", file, line, text);
  std::exit(1);
}

void requireEqual(long long received, long long expected, const char* text, const char* file, int line) {
  if (received == expected) return;
  std::fprintf(stderr, "%s:%d: expected %s to be %lld but received %lld\n", file, line, text, expected, received);
  std::exit(1);
}

Outcome inProcess(const Environment& environment, const std::function<void()>& body) {
  char folder[] = "/tmp/softcuda-test-XXXXXX";
  if (!mkdtemp(folder)) std::abort();
  const std::string at = folder;
  const pid_t pid = fork();
  if (pid == 0) child(at, environment, body);
  int status = 0;
  waitpid(pid, &status, 0);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  Outcome outcome{code,
                  contents(at + "/errors"),
                  contents(at + "/leaks"),
                  contents(at + "/faults"),
                  contents(at + "/trace"),
                  contents(at + "/report")};
  for (const char* name : {"/errors", "/leaks", "/faults", "/trace", "/report"}) unlink((at + name).c_str());
  rmdir(folder);
  return outcome;
}

int runCases(const std::vector<Case>& cases, int count, char** arguments) {
  int failed = 0, ran = 0;
  for (const Case& one : cases) {
    if (count > 1 && !std::strstr(one.name, arguments[1])) continue;
    ++ran;
    std::fflush(stdout);
    const pid_t pid = fork();  // a failed check ends this process, not the run
    if (pid == 0) {
      one.body();
      std::exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    failed += status != 0;
    std::printf("%s %s\n", status == 0 ? "ok  " : "FAIL", one.name);
  }
  std::printf("%d passed, %d failed\n", ran - failed, failed);
  return failed != 0 || ran == 0;
}

Session::Session() {
  OK(cuInit(0));
  OK(cuDevicePrimaryCtxRetain(&context, 0));
  OK(cuCtxSetCurrent(context));
  OK(cuModuleLoadData(&module, kernels));
}

Session::~Session() {
  cuModuleUnload(module);
  cuDevicePrimaryCtxRelease_v2(0);
}

CUfunction Session::kernel(const char* name) const {
  CUfunction function = nullptr;
  OK(cuModuleGetFunction(&function, module, name));
  return function;
}

CUdeviceptr words(size_t count, unsigned value) {
  CUdeviceptr address = 0;
  OK(cuMemAlloc_v2(&address, 4 * count));
  OK(cuMemsetD32Async(address, value, count, nullptr));
  OK(cuCtxSynchronize());
  return address;
}

std::vector<unsigned> read(CUdeviceptr address, size_t count) {
  std::vector<unsigned> values(count);
  OK(cuMemcpyDtoH_v2(values.data(), address, 4 * count));
  return values;
}

CUresult launchAdd(const Session& session, CUdeviceptr to, unsigned amount, unsigned count, CUstream stream) {
  void* parameters[] = {&to, &amount, &count};
  return cuLaunchKernel(session.kernel("add"), (count + 63) / 64, 1, 1, 64, 1, 1, 0, stream, parameters, nullptr);
}

CUresult launchCopy(const Session& session, CUdeviceptr to, CUdeviceptr from, unsigned count, CUstream stream) {
  void* parameters[] = {&to, &from, &count};
  return cuLaunchKernel(session.kernel("copy"), (count + 63) / 64, 1, 1, 64, 1, 1, 0, stream, parameters, nullptr);
}

CUresult launchStore(const Session& session, CUdeviceptr address, CUstream stream) {
  void* parameters[] = {&address};
  return cuLaunchKernel(session.kernel("store"), 1, 1, 1, 1, 1, 1, 0, stream, parameters, nullptr);
}

const char kernels[] = R"(//
.version 7.0
.target sm_80
.address_size 64

.visible .global .align 4 .u32 table[4] = {1, 2, 3, 4};

.visible .entry add(.param .u64 to, .param .u32 amount, .param .u32 count)
{
  .reg .pred %p<2>;
  .reg .b32 %r<9>;
  .reg .b64 %rd<5>;
  ld.param.u64 %rd1, [to];
  ld.param.u32 %r1, [amount];
  ld.param.u32 %r2, [count];
  mov.u32 %r3, %ctaid.x;
  mov.u32 %r4, %ntid.x;
  mov.u32 %r5, %tid.x;
  mad.lo.s32 %r6, %r3, %r4, %r5;
  setp.ge.u32 %p1, %r6, %r2;
  @%p1 bra done;
  cvta.to.global.u64 %rd2, %rd1;
  mul.wide.u32 %rd3, %r6, 4;
  add.s64 %rd4, %rd2, %rd3;
  ld.global.u32 %r7, [%rd4];
  add.s32 %r8, %r7, %r1;
  st.global.u32 [%rd4], %r8;
done:
  ret;
}

.visible .entry copy(.param .u64 to, .param .u64 from, .param .u32 count)
{
  .reg .pred %p<2>;
  .reg .b32 %r<9>;
  .reg .b64 %rd<8>;
  ld.param.u64 %rd1, [to];
  ld.param.u64 %rd2, [from];
  ld.param.u32 %r2, [count];
  mov.u32 %r3, %ctaid.x;
  mov.u32 %r4, %ntid.x;
  mov.u32 %r5, %tid.x;
  mad.lo.s32 %r6, %r3, %r4, %r5;
  setp.ge.u32 %p1, %r6, %r2;
  @%p1 bra done;
  cvta.to.global.u64 %rd3, %rd1;
  cvta.to.global.u64 %rd4, %rd2;
  mul.wide.u32 %rd5, %r6, 4;
  add.s64 %rd6, %rd3, %rd5;
  add.s64 %rd7, %rd4, %rd5;
  ld.global.u32 %r7, [%rd7];
  st.global.u32 [%rd6], %r7;
done:
  ret;
}

.visible .entry store(.param .u64 to)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [to];
  cvta.to.global.u64 %rd2, %rd1;
  mov.u32 %r1, 7;
  st.global.u32 [%rd2], %r1;
  ret;
}

.visible .entry bounded(.param .u64 to)
.maxntid 64, 1, 1
{
  .shared .align 4 .b8 tile[1024];
  ret;
}
)";

}  // namespace softcuda::test
