#include "runtime/host/ranks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fourge/error.hpp>
#include <memory>

#include "runtime/host/block_runner.hpp"
#include "runtime/host/global_memory.hpp"
#include "runtime/host/rank_turns.hpp"
#include "runtime/host/system_memory.hpp"

namespace fourge::host {

namespace {

// A thread that looks in vain asks for the clock soon, and hands over then.
constexpr unsigned kAccessesToHandOver = 256;

// A store on its way.
struct Pending {
  void* address;
  std::array<unsigned char, 16> data;
  std::size_t bytes;
  SystemMemory::Origin origin;

  void arrive() const { std::memcpy(address, data.data(), bytes); }
};

struct Prepared {
  const RankCall* call;
  LaunchShape shape;
  GlobalMemory memory;
  std::vector<const void*> arguments;
};

struct World;

// Runs the block of its number of each of a rank's launches.
class Worker final : public SystemMemory, public TurnTaker {
 public:
  Worker(World& world, std::size_t number, std::size_t rank, unsigned block)
      : world_(world), number_(number), rank_(rank), block_(block) {}

  int rank() const override { return static_cast<int>(rank_); }
  void body() override;
  void pause() override { runner_.pause(); }
  void resume() override { runner_.resume(); }
  bool deliver() override { return deliver_some(); }

  void store(const Origin& origin, void* address, const void* data, std::size_t bytes,
             bool is_release) override;
  void load(const void* address, void* data, std::size_t bytes) override;
  std::uint64_t nanoseconds() override;
  void barrier() override;

  void deliver_all();

 private:
  void maybe_hand_over(unsigned one_in);
  bool deliver_some();

  World& world_;
  std::size_t number_;
  std::size_t rank_;
  unsigned block_;
  BlockRunner runner_;
  std::vector<Pending> pending_;
};

struct Rank {
  std::vector<Prepared> launches;
  std::vector<std::size_t> workers;
  std::size_t running = 0;  // blocks of the present launch that are not done
};

struct World {
  std::vector<Rank> ranks;
  std::vector<std::unique_ptr<Worker>> workers;
  std::unique_ptr<RankTurns> turns;
  std::uint64_t clock = 1;
};

void Worker::body() {
  Rank& rank = world_.ranks[rank_];
  for (const Prepared& launch : rank.launches) {
    if (block_ < launch.shape.grid[0]) {
      runner_.run(
          {*launch.call->function, launch.shape, launch.memory, launch.arguments.data(), this},
          {block_, 0, 0});
    }
    if (--rank.running != 0) {
      world_.turns->sleep(number_);
      continue;
    }
    // The last one: the kernel ends, and the next may begin.
    rank.running = rank.workers.size();
    for (const std::size_t other : rank.workers) {
      world_.workers[other]->deliver_all();
      world_.turns->wake(other);
    }
    world_.turns->hand_over(number_);
  }
}

void Worker::maybe_hand_over(unsigned one_in) {
  world_.clock += 10;
  if (world_.turns->one_in(one_in)) {
    world_.turns->hand_over(number_);
  }
}

bool Worker::deliver_some() {
  if (pending_.empty()) return false;
  world_.turns->arrived();
  std::size_t count = 1 + world_.turns->random_below(std::max<std::size_t>(1, pending_.size() / 4));
  for (; count != 0 && !pending_.empty(); --count) {
    const std::size_t chosen = world_.turns->random_below(pending_.size());
    pending_[chosen].arrive();
    pending_[chosen] = pending_.back();
    pending_.pop_back();
  }
  return true;
}

void Worker::deliver_all() {
  for (const Pending& store : pending_) {
    store.arrive();
  }
  pending_.clear();
  world_.turns->arrived();
}

void Worker::store(const Origin& origin, void* address, const void* data, std::size_t bytes,
                   bool is_release) {
  if (is_release) {
    const auto ordered_before = [&](const Pending& store) {
      return store.origin.thread == origin.thread || store.origin.barriers < origin.barriers;
    };
    const auto rest = std::stable_partition(pending_.begin(), pending_.end(), ordered_before);
    std::for_each(pending_.begin(), rest, [](const Pending& store) { store.arrive(); });
    pending_.erase(pending_.begin(), rest);
    world_.turns->arrived();
  }
  // A vector may arrive in pieces: only its words are whole.
  constexpr std::size_t kWord = 4;
  const std::size_t piece = bytes == 16 && world_.turns->one_in(4) ? kWord : bytes;
  for (std::size_t at = 0; at < bytes; at += piece) {
    Pending store{static_cast<unsigned char*>(address) + at, {}, piece, origin};
    std::memcpy(store.data.data(), static_cast<const unsigned char*>(data) + at, piece);
    pending_.push_back(store);
  }
  maybe_hand_over(kAccessesToHandOver);
}

void Worker::load(const void* address, void* data, std::size_t bytes) {
  if (world_.turns->one_in(8)) {
    world_.workers[world_.turns->random_below(world_.workers.size())]->deliver_some();
  }
  maybe_hand_over(kAccessesToHandOver);
  std::memcpy(data, address, bytes);
}

std::uint64_t Worker::nanoseconds() {
  world_.clock += 10;
  world_.turns->look_again(number_);
  return world_.clock;
}

void Worker::barrier() { maybe_hand_over(4); }

Prepared prepare(const RankCall& call) {
  const OpDefinition& op = call.spec.op();
  if (call.args.size() != op.args_size) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{}: {} bytes of arguments, wanted {}", call.spec.text(),
                            call.args.size(), op.args_size));
  }
  op.check_args(call.spec, call.args.data());
  Prepared prepared{&call,
                    op.launch_shape(call.spec, call.args.data(), {1}),
                    GlobalMemory(op.regions(call.spec, call.args.data())),
                    {}};
  if (prepared.shape.empty) {
    prepared.shape.grid[0] = 0;
  }
  for (const Param& param : op.params) {
    prepared.arguments.push_back(call.args.data() + param.offset);
  }
  return prepared;
}

}  // namespace

void run_ranks(std::span<const std::vector<RankCall>> ranks, const RankSchedule& schedule) {
  World world;
  std::vector<TurnTaker*> takers;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    Rank rank;
    std::uint32_t blocks = 0;
    for (const RankCall& call : ranks[r]) {
      rank.launches.push_back(prepare(call));
      blocks = std::max(blocks, rank.launches.back().shape.grid[0]);
    }
    for (unsigned block = 0; block < blocks; ++block) {
      const std::size_t number = world.workers.size();
      world.workers.push_back(std::make_unique<Worker>(world, number, r, block));
      rank.workers.push_back(number);
      takers.push_back(world.workers.back().get());
    }
    rank.running = blocks;
    world.ranks.push_back(std::move(rank));
  }
  if (world.workers.empty()) {
    return;
  }
  world.turns =
      std::make_unique<RankTurns>(takers, schedule.seed, schedule.slow_rank, schedule.most_turns);
  world.turns->run();
}

}  // namespace fourge::host
