// Streams and events: what is ordered stays ordered in every mode; what is not shows in at least one.
#include <cstring>

#include "driver_harness.h"

using namespace softcuda;
using namespace softcuda::test;

namespace {

constexpr unsigned kCount = 100;

/** Runs the body in every mode, the random one with 16 seeds: how many processes ended well. */
struct Tally {
  int good = 0, all = 0;
};
Tally inEveryOrder(const std::function<void()>& body) {
  Tally tally;
  const auto once = [&](const char* order, int seed) {
    const Outcome outcome = inProcess({{"SOFTCUDA_ORDER", order}, {"SOFTCUDA_SEED", std::to_string(seed)}}, body);
    tally.good += outcome.status == 0;
    ++tally.all;
  };
  for (const char* order : {"late", "needed", "eager"}) once(order, 1);
  for (int seed = 0; seed < 16; ++seed) once("random", seed);
  return tally;
}

void alwaysGood(const std::function<void()>& body) {
  const Tally tally = inEveryOrder(body);
  EQUAL(tally.good, tally.all);
}

/** Right in some order, wrong in some other: what a test on one GPU may never see. */
void sometimesWrong(const std::function<void()>& body) {
  const Tally tally = inEveryOrder(body);
  CHECK(tally.good > 0);
  CHECK(tally.good < tally.all);
}

CUstream stream(unsigned flags) {
  CUstream created = nullptr;
  OK(cuStreamCreate(&created, flags));
  return created;
}

CUevent event() {
  CUevent created = nullptr;
  OK(cuEventCreate(&created, CU_EVENT_DISABLE_TIMING));
  return created;
}

/** A copy stream brings 5s, a compute stream adds 1: together they must give 6s. */
void copyThenCompute(bool wait, unsigned flags, bool waitForCopy) {
  const Session session;
  const CUdeviceptr data = words(kCount, 0);
  unsigned* batch = nullptr;
  OK(cuMemAllocHost_v2(reinterpret_cast<void**>(&batch), 4 * kCount));
  for (unsigned i = 0; i < kCount; ++i) batch[i] = 5;
  const CUstream copy = stream(flags), compute = stream(flags);
  const CUevent copied = event();
  OK(cuMemcpyHtoDAsync_v2(data, batch, 4 * kCount, copy));
  OK(cuEventRecord(copied, copy));
  if (wait) OK(cuStreamWaitEvent(compute, copied, 0));
  OK(launchAdd(session, data, 1, kCount, compute));
  if (waitForCopy) OK(cuStreamSynchronize(copy));
  OK(cuStreamSynchronize(compute));
  OK(cuCtxSynchronize());
  for (const unsigned value : read(data, kCount)) EQUAL(value, 6);
}

void eventOrders() {
  alwaysGood([] { copyThenCompute(true, CU_STREAM_NON_BLOCKING, false); });
}

void missingEvent() {
  sometimesWrong([] { copyThenCompute(false, CU_STREAM_NON_BLOCKING, false); });
  sometimesWrong([] { copyThenCompute(false, CU_STREAM_NON_BLOCKING, true); });
}

void legacyStreamOrders(bool blocking) {
  const Session session;
  const CUdeviceptr data = words(kCount, 0);
  const CUstream side = stream(blocking ? CU_STREAM_DEFAULT : CU_STREAM_NON_BLOCKING);
  OK(cuMemsetD32Async(data, 3, kCount, side));
  OK(launchAdd(session, data, 1, kCount, nullptr));
  OK(cuMemsetD8Async(data, 1, 4, side));
  OK(cuCtxSynchronize());
  const auto values = read(data, kCount);
  EQUAL(values[0], 0x01010101);
  EQUAL(values[1], 4);
}

void defaultStreamWaitsForBlocking() {
  alwaysGood([] { legacyStreamOrders(true); });
}

void defaultStreamIgnoresNonBlocking() {
  sometimesWrong([] { legacyStreamOrders(false); });
}

void destroyedBlockingStreamStillOrders() {
  alwaysGood([] {
    const Session session;
    const CUdeviceptr data = words(kCount, 0);
    const CUstream side = stream(CU_STREAM_DEFAULT);
    OK(cuMemsetD32Async(data, 3, kCount, side));
    OK(cuStreamDestroy_v2(side));
    OK(launchAdd(session, data, 1, kCount, nullptr));
    OK(cuCtxSynchronize());
    EQUAL(read(data, 1)[0], 4);
  });
}

/** The host writes a staging buffer again before the copy from it is known to be done. */
void reuseStaging(bool pinned, bool wait) {
  const Session session;
  const CUdeviceptr data = words(kCount, 0);
  unsigned* batch = nullptr;
  std::vector<unsigned> pageable(kCount, 5);
  OK(cuMemAllocHost_v2(reinterpret_cast<void**>(&batch), 4 * kCount));
  if (!pinned) batch = pageable.data();
  for (unsigned i = 0; i < kCount; ++i) batch[i] = 5;
  const CUstream copy = stream(CU_STREAM_NON_BLOCKING);
  const CUevent copied = event();
  OK(cuMemcpyHtoDAsync_v2(data, batch, 4 * kCount, copy));
  OK(cuEventRecord(copied, copy));
  if (wait) OK(cuEventSynchronize(copied));
  for (unsigned i = 0; i < kCount; ++i) batch[i] = 9;
  OK(cuStreamSynchronize(copy));
  EQUAL(read(data, kCount)[kCount - 1], 5);
}

void stagingReused() {
  for (const bool pinned : {true, false}) {
    alwaysGood([=] { reuseStaging(pinned, true); });
    sometimesWrong([=] { reuseStaging(pinned, false); });
  }
}

/** The host reads results that an asynchronous copy has yet to write. */
void readResult(bool pinned, bool wait) {
  const Session session;
  const CUdeviceptr data = words(kCount, 5);
  unsigned* result = nullptr;
  std::vector<unsigned> pageable(kCount, 0);
  OK(cuMemAllocHost_v2(reinterpret_cast<void**>(&result), 4 * kCount));
  if (!pinned) result = pageable.data();
  const CUstream copy = stream(CU_STREAM_NON_BLOCKING);
  OK(cuMemcpyDtoHAsync_v2(result, data, 4 * kCount, copy));
  if (wait) OK(cuStreamSynchronize(copy));
  EQUAL(result[kCount - 1], 5);
}

void resultReadEarly() {
  alwaysGood([] { readResult(true, true); });
  alwaysGood([] { readResult(false, false); });
  sometimesWrong([] { readResult(true, false); });
}

/** A result buffer in use by the host may be written as soon as the next copy is asked for. */
void resultOverwritten() {
  int wrong = 0;
  for (int seed = 0; seed < 16; ++seed)
    wrong += inProcess({{"SOFTCUDA_ORDER", "random"}, {"SOFTCUDA_SEED", std::to_string(seed)}}, [] {
               const Session session;
               const CUdeviceptr data = words(kCount, 5);
               unsigned* result = nullptr;
               OK(cuMemAllocHost_v2(reinterpret_cast<void**>(&result), 4 * kCount));
               result[0] = 1;
               OK(cuMemcpyDtoHAsync_v2(result, data, 4 * kCount, stream(CU_STREAM_NON_BLOCKING)));
               EQUAL(result[0], 1);
             }).status != 0;
  CHECK(wrong > 0);
  CHECK(wrong < 16);
}

/** A blocking copy from pageable memory orders nothing on a non-blocking stream. */
void blockingCopy(bool wait) {
  const Session session;
  const CUdeviceptr data = words(kCount, 0);
  const std::vector<unsigned> fives(kCount, 5);
  OK(cuMemcpyHtoD_v2(data, fives.data(), 4 * kCount));
  if (wait) OK(cuCtxSynchronize());
  const CUstream compute = stream(CU_STREAM_NON_BLOCKING);
  OK(launchAdd(session, data, 1, kCount, compute));
  OK(cuStreamSynchronize(compute));
  OK(cuCtxSynchronize());
  EQUAL(read(data, 1)[0], 6);
}

void blockingCopyOfPageableMemory() {
  alwaysGood([] { blockingCopy(true); });
  sometimesWrong([] { blockingCopy(false); });
}

void queriesEndAndTellTheTruth() {
  alwaysGood([] {
    const Session session;
    const CUdeviceptr data = words(kCount, 5);
    const CUstream side = stream(CU_STREAM_NON_BLOCKING);
    const CUevent done = event();
    OK(cuEventQuery(done));  // never recorded
    for (int i = 0; i < 20; ++i) OK(launchAdd(session, data, 1, kCount, side));
    OK(cuEventRecord(done, side));
    int asked = 0, answer;
    while ((answer = cuEventQuery(done)) == CUDA_ERROR_NOT_READY) ++asked;
    EQUAL(answer, CUDA_SUCCESS);
    CHECK(asked < 1000);
    OK(cuStreamQuery(side));
    EQUAL(read(data, 1)[0], 25);
  });
}

void notReadyIsSeen() {
  sometimesWrong([] {
    const Session session;
    const CUdeviceptr data = words(kCount, 5);
    const CUstream side = stream(CU_STREAM_NON_BLOCKING);
    OK(launchAdd(session, data, 1, kCount, side));
    OK(launchAdd(session, data, 1, kCount, side));
    OK(cuStreamQuery(side));
  });
}

/** A wait is for the record at the time of the call, not for a later one. */
void eventsRecordedAgain() {
  alwaysGood([] {
    const Session session;
    const CUdeviceptr data = words(kCount, 0);
    const CUstream first = stream(CU_STREAM_NON_BLOCKING), second = stream(CU_STREAM_NON_BLOCKING);
    const CUevent mark = event();
    for (unsigned round = 0; round < 4; ++round) {
      OK(launchAdd(session, data, 1, kCount, first));
      OK(cuEventRecord(mark, first));
      OK(cuStreamWaitEvent(second, mark, 0));
      OK(launchAdd(session, data, 10, kCount, second));
      OK(cuEventRecord(mark, second));
      OK(cuStreamWaitEvent(first, mark, 0));
    }
    OK(cuStreamSynchronize(first));
    EQUAL(read(data, 1)[0], 44);
  });
}

void elapsedTime() {
  GOOD(inProcess({{"SOFTCUDA_ORDER", "late"}}, [] {
    const Session session;
    const CUdeviceptr data = words(kCount, 0);
    CUevent start, end, untimed = event();
    OK(cuEventCreate(&start, CU_EVENT_DEFAULT));
    OK(cuEventCreate(&end, CU_EVENT_DEFAULT));
    const CUstream side = stream(CU_STREAM_NON_BLOCKING);
    float milliseconds = -1;
    EQUAL(cuEventElapsedTime(&milliseconds, start, end), CUDA_ERROR_INVALID_HANDLE);
    OK(cuEventRecord(start, side));
    OK(launchAdd(session, data, 1, kCount, side));
    OK(cuEventRecord(end, side));
    EQUAL(cuEventElapsedTime(&milliseconds, start, end), CUDA_ERROR_NOT_READY);
    OK(cuEventSynchronize(end));
    OK(cuEventElapsedTime(&milliseconds, start, end));
    CHECK(milliseconds >= 0);
    EQUAL(cuEventElapsedTime(&milliseconds, start, untimed), CUDA_ERROR_INVALID_HANDLE);
  }));
}

void queueIsBounded() {
  GOOD(inProcess({{"SOFTCUDA_ORDER", "late"}}, [] {
    const Session session;
    const CUdeviceptr data = words(1, 0);
    const CUstream side = stream(CU_STREAM_NON_BLOCKING);
    for (int i = 0; i < 10000; ++i) OK(launchAdd(session, data, 1, 1, side));
    OK(cuStreamSynchronize(side));
    EQUAL(read(data, 1)[0], 10000);
  }));
}

/** The same seed gives the same order, another one another. */
void seedDecides() {
  const auto orders = [](int seed) {
    return inProcess({{"SOFTCUDA_ORDER", "random"}, {"SOFTCUDA_SEED", std::to_string(seed)}},
                     [] {
                       const Session session;
                       const CUdeviceptr data = words(1, 0);
                       for (unsigned i = 0; i < 8; ++i)
                         OK(cuMemsetD32Async(data, i, 1, stream(CU_STREAM_NON_BLOCKING)));
                       OK(cuCtxSynchronize());
                       std::exit(100 + static_cast<int>(read(data, 1)[0]));
                     })
        .status;
  };
  bool differ = false;
  for (int seed = 0; seed < 8; ++seed) {
    EQUAL(orders(seed), orders(seed));
    differ = differ || orders(seed) != orders(0);
  }
  CHECK(differ);
}

}  // namespace

int main(int count, char** arguments) {
  return runCases({{"event orders two streams", eventOrders},
                   {"missing event shows", missingEvent},
                   {"default stream waits for blocking streams", defaultStreamWaitsForBlocking},
                   {"default stream ignores non-blocking streams", defaultStreamIgnoresNonBlocking},
                   {"destroyed blocking stream still orders", destroyedBlockingStreamStillOrders},
                   {"staging buffer reused too early shows", stagingReused},
                   {"result read too early shows", resultReadEarly},
                   {"result overwritten early shows", resultOverwritten},
                   {"blocking copy of pageable memory", blockingCopyOfPageableMemory},
                   {"queries end and tell the truth", queriesEndAndTellTheTruth},
                   {"not ready is seen", notReadyIsSeen},
                   {"events recorded again", eventsRecordedAgain},
                   {"elapsed time", elapsedTime},
                   {"queue is bounded", queueIsBounded},
                   {"seed decides", seedDecides}},
                  count, arguments);
}
