// Which algorithm a call takes.
#pragma once

#include <fourge/comm.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace fourge::comm {

// As given, or by the rows: at most one_shot_rows take the one-shot algorithm.
Algorithm choose_algorithm(Algorithm wanted, int ranks, std::int64_t rows,
                           std::int64_t one_shot_rows) noexcept;

std::optional<Algorithm> parse_algorithm(std::string_view text) noexcept;

}  // namespace fourge::comm
