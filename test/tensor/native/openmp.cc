// Of GCC's OpenMP what our kernels use, by plain threads: ThreadSanitizer knows those, and libgomp's own barriers it does not.
//
// Every parallel region starts its threads anew and waits for them. Pieces of a loop are handed out by a counter that orders nothing else,
// so that what two threads write to one place is seen.
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace {
struct Loop {
  std::atomic<long> next;
  long end, step, chunk;
};
struct Team {
  unsigned size;
  pthread_barrier_t barrier;
  std::mutex mutex;
  std::deque<Loop> loops;
};
struct Place {
  Team* team = nullptr;
  unsigned number = 0;
  size_t loops = 0;
  Loop* loop = nullptr;
};
thread_local Place here;
}  // namespace

extern "C" {
int omp_get_num_threads() { return here.team ? static_cast<int>(here.team->size) : 1; }
int omp_get_thread_num() { return static_cast<int>(here.number); }
void GOMP_barrier() {
  if (here.team) pthread_barrier_wait(&here.team->barrier);
}

void GOMP_parallel(void (*work)(void*), void* data, unsigned size, unsigned) {
  // A region inside of another has one thread, as by default.
  Team team{here.team ? 1 : std::max(1u, size ? size : std::thread::hardware_concurrency()), {}, {}, {}};
  pthread_barrier_init(&team.barrier, nullptr, team.size);
  const Place before = here;
  std::vector<std::thread> others;
  for (unsigned i = 1; i < team.size; i++)
    others.emplace_back([&team, i, work, data] {
      here = Place{&team, i};
      work(data);
    });
  here = Place{&team, 0};
  work(data);
  for (std::thread& other : others) other.join();
  here = before;
  pthread_barrier_destroy(&team.barrier);
}

bool GOMP_loop_nonmonotonic_dynamic_next(long* from, long* to) {
  Loop& loop = *here.loop;
  const long at = loop.next.fetch_add(loop.step * loop.chunk, std::memory_order_relaxed);
  if (loop.step > 0 ? at >= loop.end : at <= loop.end) return false;
  const long end = at + loop.step * loop.chunk;
  *from = at;
  *to = loop.step > 0 ? std::min(end, loop.end) : std::max(end, loop.end);
  return true;
}

bool GOMP_loop_nonmonotonic_dynamic_start(long from, long to, long step, long chunk, long* first, long* last) {
  {
    const std::lock_guard<std::mutex> lock(here.team->mutex);
    std::deque<Loop>& loops = here.team->loops;
    if (loops.size() == here.loops) {
      Loop& made = loops.emplace_back();
      made.next = from;
      made.end = to;
      made.step = step;
      made.chunk = chunk;
    }
    here.loop = &loops[here.loops++];
  }
  return GOMP_loop_nonmonotonic_dynamic_next(first, last);
}

void GOMP_loop_end_nowait() {}
}
