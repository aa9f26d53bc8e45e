// What FourgeStaticCommand.cmake tries to link.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/sha.h>

#include <ctime>
#include <string>

int main(int argc, char**) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  const std::string text = fmt::format("{} {:.3f} {:%Y}", argc, 0.5 * argc, std::tm{});
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return digest[0] == 0 ? 1 : 0;
}
