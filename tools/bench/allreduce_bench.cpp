#include "tools/bench/allreduce_bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fourge/device.hpp>
#include <fourge/error.hpp>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>

#include "tools/bench/allreduce_data.hpp"
#include "tools/interruption.hpp"

namespace fourge::tools {
namespace {

constexpr std::size_t kWarmUps = 3;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    path_ = (std::filesystem::temp_directory_path() / "fourge-bench-XXXXXX").string();
    if (mkdtemp(path_.data()) == nullptr) {
      throw Error(ErrorKind::io, "cannot make a directory like " + path_);
    }
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string socket() const { return path_ + "/s"; }

 private:
  std::string path_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::size_t calls_of(std::int64_t rows) { return rows <= 128 ? 100 : rows <= 512 ? 40 : 16; }

class RankBench {
 public:
  RankBench(Runtime& runtime, const AllreduceBench& bench, int rank, const std::string& socket)
      : bench_(bench),
        rank_(rank),
        context_(rank),
        stream_(context_),
        meeting_({socket, rank, bench.ranks, std::chrono::seconds(120), std::nullopt}),
        buffers_(context_, bench, rank, stream_) {
    comm::GroupConfig config;
    config.rank = rank;
    config.ranks = bench.ranks;
    config.max_rows = *std::max_element(bench.tokens.begin(), bench.tokens.end());
    config.one_shot_rows = config.max_rows;
    config.cols = bench.cols;
    config.dtype = bench.dtype;
    config.transport = comm::Transport::peers;
    config.deadline = std::chrono::seconds(10);
    config.all_gather = meeting_.all_gather();
    peers_ = std::make_unique<comm::Group>(runtime, config);
    peers_->prepare(bench.axes);
    for (const char* algorithm : {"one_shot", "two_shot"}) peers_->prepare(axes_with(algorithm));
    if (bench.with_nccl) make_nccl(runtime, config);
  }

  const std::string& nccl_missing() const { return nccl_missing_; }

  // Whether an end is wanted: the same answer on all ranks.
  bool interrupted() {
    const std::byte mine{Interruption::wanted() ? std::uint8_t{1} : std::uint8_t{0}};
    const auto all = meeting_.gather(std::span(&mine, 1));
    return std::any_of(all.begin(), all.end(), [](std::byte one) { return one != std::byte{0}; });
  }

  AllreduceTimes measure(std::int64_t rows) {
    AllreduceTimes times;
    times.rows = rows;
    times.chosen = peers_->algorithm(rows);
    times.one_shot = time(*peers_, axes_with("one_shot"), rows);
    times.two_shot = time(*peers_, axes_with("two_shot"), rows);
    times.automatic = time(*peers_, bench_.axes, rows);
    if (nccl_) times.nccl = time(*nccl_, bench_.axes, rows);
    return times;
  }

 private:
  // What ranks tell one another.
  struct Told {
    double median_us = 0;
    double equal_codes = 1;
    char difference[112] = {};
  };

  std::string axes_with(const char* algorithm) const {
    return fmt::format("{}{}algorithm={}", bench_.axes, bench_.axes.empty() ? "" : ",", algorithm);
  }

  void make_nccl(Runtime& runtime, comm::GroupConfig config) {
    config.transport = comm::Transport::nccl;
    config.nccl_library = bench_.nccl_library;
    try {
      nccl_ = std::make_unique<comm::Group>(runtime, config);
      nccl_->prepare(bench_.axes);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::library_missing) throw;
      nccl_missing_ = error.what();  // on all ranks
    }
  }

  void call(comm::Group& group, const std::string& axes, std::int64_t rows) {
    group.allreduce_rmsnorm_quantize(buffers_.args(rows), axes, stream_.get(),
                                     {.programmatic_dependent_launch = bench_.dependent_launch});
  }

  void meet() {
    const std::byte token{0};
    meeting_.gather(std::span(&token, 1));
  }

  AllreduceTime time(comm::Group& group, const std::string& axes, std::int64_t rows) {
    for (std::size_t i = 0; i < kWarmUps; ++i) call(group, axes, rows);
    stream_.synchronize();
    AllreduceTime result;
    result.calls = calls_of(rows);
    const Graph graph(context_, stream_, [&] {
      for (std::size_t i = 0; i < result.calls; ++i) call(group, axes, rows);
    });
    Event begin(context_);
    Event end(context_);
    std::vector<double> samples;
    for (std::size_t sample = 0; sample < bench_.samples + 2; ++sample) {
      meet();
      call(group, axes, rows);  // brings the ranks together
      begin.record(stream_.get());
      graph.launch(stream_.get());
      end.record(stream_.get());
      end.synchronize();
      group.check();
      const double each = Event::milliseconds(begin, end) * 1e3 / static_cast<double>(result.calls);
      if (sample >= 2) samples.push_back(each);
    }
    buffers_.poison(rows, stream_);
    call(group, axes, rows);
    stream_.synchronize();
    group.check();
    result.median_us = median(samples);
    buffers_.check(rows, stream_, result);
    return of_all(result);
  }

  AllreduceTime of_all(AllreduceTime mine) {
    Told told;
    told.median_us = mine.median_us;
    told.equal_codes = mine.equal_codes;
    const std::string text =
        mine.difference.empty() ? "" : fmt::format("rank {}: {}", rank_, mine.difference);
    text.copy(told.difference, sizeof(told.difference) - 1);
    const auto bytes = meeting_.gather(std::as_bytes(std::span(&told, 1)));
    mine.difference.clear();
    for (std::size_t at = 0; at + sizeof(Told) <= bytes.size(); at += sizeof(Told)) {
      Told other;
      std::memcpy(&other, bytes.data() + at, sizeof(Told));
      mine.median_us = std::max(mine.median_us, other.median_us);
      mine.equal_codes = std::min(mine.equal_codes, other.equal_codes);
      if (mine.difference.empty()) mine.difference = other.difference;
    }
    return mine;
  }

  const AllreduceBench& bench_;
  const int rank_;
  DeviceContext context_;
  Stream stream_;
  comm::UnixRendezvous meeting_;
  AllreduceBuffers buffers_;
  std::unique_ptr<comm::Group> peers_;
  std::unique_ptr<comm::Group> nccl_;
  std::string nccl_missing_;
};

}  // namespace

DeviceInfo first_device_of(const AllreduceBench& bench) {
  const std::vector<DeviceInfo> devices = list_devices();
  if (devices.size() < static_cast<std::size_t>(bench.ranks)) {
    throw Error(ErrorKind::unsupported,
                fmt::format("{} ranks need as many devices; this machine has {}", bench.ranks,
                            devices.size()));
  }
  return devices.front();
}

AllreduceReport measure_allreduce(Runtime& runtime, const AllreduceBench& bench,
                                  const std::function<void(const AllreduceTimes&)>& report_one) {
  const TemporaryDirectory directory;
  AllreduceReport report;
  std::mutex mutex;
  std::exception_ptr first;
  bool of_a_peer = true;  // says only that another rank failed
  std::vector<std::thread> threads;
  for (int rank = 0; rank < bench.ranks; ++rank) {
    threads.emplace_back([&, rank] {
      const auto keep = [&](bool peer) {
        const std::lock_guard lock(mutex);
        if (first && (peer || !of_a_peer)) return;
        first = std::current_exception();
        of_a_peer = peer;
      };
      try {
        RankBench self(runtime, bench, rank, directory.socket());
        for (const std::int64_t rows : bench.tokens) {
          if (self.interrupted()) break;
          const AllreduceTimes times = self.measure(rows);
          if (rank != 0) continue;
          report.times.push_back(times);
          report_one(times);
        }
        if (rank == 0) report.nccl_missing = self.nccl_missing();
      } catch (const Error& error) {
        keep(error.kind() == ErrorKind::peer);
      } catch (...) {
        keep(false);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
  return report;
}

std::int64_t crossing_of(const std::vector<AllreduceTimes>& times) {
  std::vector<const AllreduceTimes*> sorted;
  for (const AllreduceTimes& one : times) sorted.push_back(&one);
  std::sort(sorted.begin(), sorted.end(),
            [](const AllreduceTimes* a, const AllreduceTimes* b) { return a->rows < b->rows; });
  std::int64_t rows = 0;
  for (const AllreduceTimes* one : sorted) {
    if (one->one_shot.median_us > one->two_shot.median_us) return rows;
    rows = one->rows;
  }
  return std::numeric_limits<std::int32_t>::max();
}

}  // namespace fourge::tools
