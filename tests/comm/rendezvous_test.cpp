// The built-in rendezvous: ranks as threads and as processes, and everything that can go wrong with a
// socket at a path.
#include <fourge/error.hpp>
#include <fourge/rendezvous.hpp>

#include "tests/support/catch.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace fourge::tests {
namespace {

using comm::RendezvousOptions;
using comm::UnixRendezvous;
using namespace std::chrono_literals;

class Place {
 public:
  Place() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fourge-meet-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~Place() {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  std::string path() const { return directory_ + "/s"; }
  bool empty() const { return std::filesystem::is_empty(directory_); }
  RendezvousOptions options(int rank, int ranks, std::chrono::milliseconds patience = 20s) const {
    return {path(), rank, ranks, patience, std::nullopt};
  }

 private:
  std::string directory_;
};

struct Failure {
  ErrorKind kind = ErrorKind::internal;
  std::string text;
  bool says(const std::string& part) const { return text.find(part) != std::string::npos; }
};

Failure failure_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {ErrorKind::internal, "nothing was thrown"};
}

// One thread a rank; what each of them threw.
std::vector<Failure> run_ranks(int ranks, const std::function<void(int)>& body) {
  std::vector<Failure> failures(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back(
        [&, rank] { failures[static_cast<std::size_t>(rank)] = failure_of([&] { body(rank); }); });
  }
  for (std::thread& thread : threads) thread.join();
  return failures;
}

std::vector<std::byte> bytes_of(int rank, std::size_t size, int round) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) {
    bytes[i] =
        static_cast<std::byte>((i * 7 + static_cast<std::size_t>(rank * 31 + round)) & 0xFFU);
  }
  return bytes;
}

bool gathers(UnixRendezvous& meeting, int rank, int ranks, std::size_t size, int round) {
  const auto all = meeting.gather(bytes_of(rank, size, round));
  std::vector<std::byte> expected;
  for (int r = 0; r < ranks; ++r) {
    const auto piece = bytes_of(r, size, round);
    expected.insert(expected.end(), piece.begin(), piece.end());
  }
  return all == expected;
}

// What it returns is the exit code.
pid_t fork_rank(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    int code = 99;
    try {
      code = body();
    } catch (...) {
    }
    ::_exit(code);
  }
  return child;
}

int exit_code(pid_t child) {
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

int raw_socket(const std::string& path, int (*call)(int, const sockaddr*, socklen_t)) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(path);
  if (call(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ::close(descriptor);
    return -1;
  }
  return descriptor;
}

}  // namespace

TEST_CASE("rendezvous: threads gather in the order of ranks, whatever their sizes",
          "[rendezvous]") {
  for (const int ranks : {1, 2, 5, 8}) {
    const Place place;
    std::vector<int> right(static_cast<std::size_t>(ranks), 0);
    const auto failures = run_ranks(ranks, [&](int rank) {
      UnixRendezvous meeting(place.options(rank, ranks));
      for (int round = 0; round < 40; ++round) {
        const std::size_t size = round == 0    ? 0
                                 : round == 39 ? std::size_t{1} << 20U
                                               : static_cast<std::size_t>(round);
        right[static_cast<std::size_t>(rank)] += gathers(meeting, rank, ranks, size, round) ? 1 : 0;
      }
    });
    for (const Failure& failure : failures) CHECK(failure.text == "nothing was thrown");
    CHECK(right == std::vector<int>(static_cast<std::size_t>(ranks), 40));
    CHECK(place.empty());  // the socket is gone
  }
}

TEST_CASE("rendezvous: processes gather, and the function outlives the object", "[rendezvous]") {
  const Place place;
  std::vector<pid_t> children;
  for (int rank = 1; rank < 4; ++rank) {
    children.push_back(fork_rank([&, rank] {
      comm::AllGather gather = UnixRendezvous(place.options(rank, 4)).all_gather();
      return gather(bytes_of(rank, 100, 1)).size() == 400 ? 0 : 1;
    }));
  }
  UnixRendezvous meeting(place.options(0, 4));
  CHECK(gathers(meeting, 0, 4, 100, 1));
  for (const pid_t child : children) CHECK(exit_code(child) == 0);
}

TEST_CASE("rendezvous: a rank that is killed is named on all others, at once", "[rendezvous]") {
  const Place place;
  const pid_t victim = fork_rank([&] {
    UnixRendezvous meeting(place.options(2, 4));
    meeting.gather(bytes_of(2, 8, 0));
    ::raise(SIGKILL);
    return 0;
  });
  std::vector<pid_t> others;
  for (const int rank : {1, 3}) {
    others.push_back(fork_rank([&, rank] {
      UnixRendezvous meeting(place.options(rank, 4));
      meeting.gather(bytes_of(rank, 8, 0));
      const Failure first = failure_of([&] { meeting.gather(bytes_of(rank, 8, 1)); });
      const Failure again = failure_of([&] { meeting.gather(bytes_of(rank, 8, 2)); });
      return first.kind == ErrorKind::peer && first.says("rank 2 ended or died") &&
                     again.text == first.text
                 ? 0
                 : 1;
    }));
  }
  UnixRendezvous meeting(place.options(0, 4));
  CHECK(gathers(meeting, 0, 4, 8, 0));
  const Failure failure = failure_of([&] { meeting.gather(bytes_of(0, 8, 1)); });
  CHECK(failure.kind == ErrorKind::peer);
  CHECK(failure.says("rank 2 ended or died"));
  CHECK(failure_of([&] { meeting.gather(bytes_of(0, 8, 2)); }).text == failure.text);
  CHECK(exit_code(victim) == -1);
  for (const pid_t other : others) CHECK(exit_code(other) == 0);
}

TEST_CASE("rendezvous: rank 0 that is killed is named", "[rendezvous]") {
  const Place place;
  const pid_t zero = fork_rank([&] {
    const UnixRendezvous meeting(place.options(0, 2));
    ::raise(SIGKILL);
    return 0;
  });
  UnixRendezvous meeting(place.options(1, 2));
  CHECK(failure_of([&] { meeting.gather(bytes_of(1, 8, 0)); }).says("rank 0 ended or died"));
  CHECK(exit_code(zero) == -1);
}

TEST_CASE("rendezvous: who does not come is named, and waits are bounded", "[rendezvous]") {
  const Place place;
  Failure failure = failure_of([&] { const UnixRendezvous m(place.options(0, 3, 80ms)); });
  CHECK(failure.kind == ErrorKind::peer);
  CHECK(failure.says("rank(s) 1, 2 did not come within 80 ms"));
  CHECK(place.empty());
  failure = failure_of([&] { const UnixRendezvous m(place.options(1, 3, 80ms)); });
  CHECK(failure.kind == ErrorKind::peer);
  CHECK(failure.says("rank 0 did not come"));
  // Two of three: the one that came is told who is missing.
  auto failures =
      run_ranks(2, [&](int rank) { const UnixRendezvous m(place.options(rank, 3, 300ms)); });
  CHECK(failures[0].says("rank(s) 2 did not come"));
  CHECK((failures[1].says("rank(s) 2 did not come") || failures[1].says("together")));
  // One that came and then does not gather.
  failures = run_ranks(3, [&](int rank) {
    UnixRendezvous meeting(place.options(rank, 3, 500ms));
    if (rank != 2) meeting.gather(bytes_of(rank, 4, 0));
    if (rank == 2) std::this_thread::sleep_for(900ms);
  });
  CHECK(failures[0].says("rank(s) 2 did not come to all-gather 1"));
  CHECK(failures[1].kind == ErrorKind::peer);
}

TEST_CASE("rendezvous: ranks that do not fit together are told, all of them", "[rendezvous]") {
  const Place place;
  auto failures = run_ranks(
      2, [&](int rank) { const UnixRendezvous m(place.options(rank, rank == 0 ? 2 : 3)); });
  for (const Failure& failure : failures) {
    CHECK(failure.says("ranks is 2 on rank 0 and 3 on rank 1"));
  }
  failures = run_ranks(
      3, [&](int thread) { const UnixRendezvous m(place.options(thread == 0 ? 0 : 1, 3, 2s)); });
  for (const Failure& failure : failures) CHECK(failure.says("there are two ranks 1"));
  failures = run_ranks(2, [&](int rank) {
    UnixRendezvous meeting(place.options(rank, 2));
    meeting.gather(bytes_of(rank, rank == 0 ? 8 : 9, 0));
  });
  for (const Failure& failure : failures) {
    CHECK(failure.kind == ErrorKind::peer);
    CHECK(failure.says("8 bytes on rank 0; rank 1 is at its all-gather 1 with 9 bytes"));
  }
}

TEST_CASE("rendezvous: what lies at the path", "[rendezvous]") {
  const Place place;
  SECTION("a dead process's socket is replaced") {
    ::close(raw_socket(place.path(), ::bind));
    const auto failures = run_ranks(2, [&](int rank) {
      UnixRendezvous meeting(place.options(rank, 2));
      if (!gathers(meeting, rank, 2, 8, 0)) throw Error(ErrorKind::internal, "wrong bytes");
    });
    for (const Failure& failure : failures) CHECK(failure.text == "nothing was thrown");
  }
  SECTION("a socket that somebody listens on is not") {
    const int listening = raw_socket(place.path(), ::bind);
    REQUIRE(::listen(listening, 4) == 0);
    const Failure failure = failure_of([&] { const UnixRendezvous m(place.options(0, 2)); });
    CHECK(failure.kind == ErrorKind::io);
    CHECK(failure.says("somebody listens"));
    CHECK(std::filesystem::exists(place.path()));
    ::close(listening);
  }
  SECTION("a file is not, and stays") {
    std::ofstream(place.path()) << "mine";
    CHECK(failure_of([&] { const UnixRendezvous m(place.options(0, 2)); }).says("something else"));
    CHECK(std::filesystem::file_size(place.path()) == 4);
  }
  SECTION("a directory that is not there") {
    RendezvousOptions options = place.options(0, 2);
    options.path = place.path() + "/none/s";
    CHECK(failure_of([&] { const UnixRendezvous m(options); }).says("No such file"));
  }
}

TEST_CASE("rendezvous: others' sockets and processes are turned away", "[rendezvous]") {
  const Place place;
  RendezvousOptions strict = place.options(0, 2, 300ms);
  strict.owner = ::geteuid() + 1;
  // Rank 1 believes in its own user and finds that rank 0 does not.
  const auto failures = run_ranks(
      2, [&](int rank) { const UnixRendezvous m(rank == 0 ? strict : place.options(1, 2, 5s)); });
  CHECK(failures[0].says("was turned away"));
  CHECK(failures[1].says("turned this one away"));
  ::close(raw_socket(place.path(), ::bind));
  const Failure replaced = failure_of([&] { const UnixRendezvous m(strict); });
  CHECK(replaced.kind == ErrorKind::io);
  CHECK(replaced.says("a socket of user"));
  CHECK(std::filesystem::exists(place.path()));
  strict.rank = 1;
  const Failure joined = failure_of([&] { const UnixRendezvous m(strict); });
  CHECK(joined.kind == ErrorKind::io);
  CHECK(joined.says("belongs to user"));
}

TEST_CASE("rendezvous: the socket is its owner's only, and noise on it is passed over",
          "[rendezvous]") {
  const Place place;
  bool right = false;
  std::thread zero([&] {
    UnixRendezvous meeting(place.options(0, 2));
    right = gathers(meeting, 0, 2, 8, 0);
  });
  int noise = -1;
  while ((noise = raw_socket(place.path(), ::connect)) < 0) std::this_thread::sleep_for(1ms);
  struct stat status {};
  REQUIRE(::stat(place.path().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0600U);
  const std::string words(64, 'G');
  CHECK(::send(noise, words.data(), words.size(), MSG_NOSIGNAL) == 64);
  UnixRendezvous meeting(place.options(1, 2));
  CHECK(gathers(meeting, 1, 2, 8, 0));
  zero.join();
  CHECK(right);
  ::close(noise);
}

TEST_CASE("rendezvous: options that cannot be", "[rendezvous]") {
  const auto kind = [](const RendezvousOptions& options) {
    return failure_of([&] { const UnixRendezvous m(options); }).kind;
  };
  CHECK(kind({"/tmp/x", 2, 2, 1s, std::nullopt}) == ErrorKind::invalid_argument);
  CHECK(kind({"/tmp/x", -1, 2, 1s, std::nullopt}) == ErrorKind::invalid_argument);
  CHECK(kind({"/tmp/x", 0, 0, 1s, std::nullopt}) == ErrorKind::invalid_argument);
  CHECK(kind({"/tmp/x", 0, 65, 1s, std::nullopt}) == ErrorKind::invalid_argument);
  CHECK(kind({"", 0, 2, 1s, std::nullopt}) == ErrorKind::invalid_argument);
  CHECK(kind({std::string(108, 'p'), 0, 2, 1s, std::nullopt}) == ErrorKind::invalid_argument);
  const Place place;
  UnixRendezvous alone(place.options(0, 1));
  CHECK(failure_of([&] {
          alone.gather(std::vector<std::byte>((std::size_t{16} << 20U) + 1));
        }).kind == ErrorKind::invalid_argument);
}

}  // namespace fourge::tests
