#include "cache/signature.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cerrno>
#include <fourge/error.hpp>
#include <fstream>

#include "cache/file_system.hpp"

namespace fourge::cache {

namespace {

constexpr std::size_t kMaximumPemBytes = 64U << 10U;

struct FreeBio {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

void require(bool good, const char* call) {
  if (good) return;
  ERR_clear_error();
  throw Error(ErrorKind::internal, fmt::format("Ed25519: libcrypto's {} failed", call));
}

const unsigned char* bytes_of(std::span<const std::byte> data) {
  return reinterpret_cast<const unsigned char*>(data.data());
}

// Instead of libcrypto's own, which asks on the terminal.
int no_pass_phrase(char*, int, int, void*) { return -1; }

using ReadPem = EVP_PKEY* (*)(BIO*, EVP_PKEY**, pem_password_cb*, void*);

detail::KeyHandle read_key(std::string_view text, ReadPem read, const char* what) {
  if (text.size() > kMaximumPemBytes) text = {};
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  require(bio != nullptr, "BIO_new_mem_buf");
  detail::KeyHandle key(read(bio.get(), nullptr, no_pass_phrase, nullptr));
  ERR_clear_error();
  if (!key || EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("this is not the PEM of an Ed25519 {} key; `fourge cache keygen` makes "
                            "a pair of keys",
                            what));
  }
  return key;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  require(size > 0, "BIO_get_mem_data");
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

void detail::FreeKey::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

PrivateKey PrivateKey::generate() {
  detail::KeyHandle key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  require(key != nullptr, "EVP_PKEY_Q_keygen");
  return PrivateKey(std::move(key));
}

PrivateKey PrivateKey::from_pem(std::string_view text) {
  return PrivateKey(read_key(text, PEM_read_bio_PrivateKey, "private"));
}

std::string PrivateKey::pem() const {
  const Bio bio(BIO_new(BIO_s_secmem()));
  require(bio != nullptr, "BIO_new");
  require(
      PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
      "PEM_write_bio_PrivateKey");
  return text_of(bio.get());
}

std::string PrivateKey::public_pem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  require(bio != nullptr, "BIO_new");
  require(PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1, "PEM_write_bio_PUBKEY");
  return text_of(bio.get());
}

Signature PrivateKey::sign(std::span<const std::byte> message) const {
  const Context context(EVP_MD_CTX_new());
  require(context != nullptr, "EVP_MD_CTX_new");
  require(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1,
          "EVP_DigestSignInit");
  Signature signature{};
  std::size_t size = signature.size();
  require(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                         bytes_of(message), message.size()) == 1 &&
              size == signature.size(),
          "EVP_DigestSign");
  return signature;
}

PublicKey PublicKey::from_pem(std::string_view text) {
  return PublicKey(read_key(text, PEM_read_bio_PUBKEY, "public"));
}

bool PublicKey::verifies(std::span<const std::byte> message, const Signature& signature) const {
  const Context context(EVP_MD_CTX_new());
  require(context != nullptr, "EVP_MD_CTX_new");
  require(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1,
          "EVP_DigestVerifyInit");
  const int status = EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                                      bytes_of(message), message.size());
  ERR_clear_error();
  return status == 1;
}

std::string load_pem(const std::string& text_or_path) {
  if (text_or_path.starts_with("-----BEGIN")) return text_or_path;
  // Links are followed: secrets are mounted as links.
  std::string text(kMaximumPemBytes + 1, '\0');
  errno = 0;
  std::ifstream file(text_or_path, std::ios::binary);
  if (file) file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) {
    throw Error(ErrorKind::io, fmt::format("cannot read the key {}: {}", text_or_path,
                                           describe_errno(errno == 0 ? EIO : errno)));
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.empty() || text.size() > kMaximumPemBytes) {
    throw Error(ErrorKind::invalid_argument,
                fmt::format("{} is not a key in PEM: it is {}", text_or_path,
                            text.empty() ? "empty" : "too large"));
  }
  return text;
}

}  // namespace fourge::cache
