/* Containers of C++'s library, new and delete in every form, and a constructor that runs before main. */
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

struct alignas(64) Line {
  int words[16];
};
struct alignas(8192) Pages {
  char bytes[8192];
};

static std::vector<std::string> early{"made", "before", "main, in a string that is longer than any short one"};

static int failures = 0;
#define CHECK(that) \
  do { \
    if (!(that)) { \
      std::printf("line %d: %s\n", __LINE__, #that); \
      failures++; \
    } \
  } while (0)

template <class T> static void aligned() {
  std::vector<std::unique_ptr<T>> some;
  for (int i = 0; i < 50; i++) {
    some.push_back(std::make_unique<T>());
    CHECK(reinterpret_cast<std::uintptr_t>(some.back().get()) % alignof(T) == 0);
  }
  std::unique_ptr<T[]> array(new T[7]);
  CHECK(reinterpret_cast<std::uintptr_t>(array.get()) % alignof(T) == 0);
}

int main() {
  CHECK(early.size() == 3 && early[2].size() > 20);

  std::vector<std::uint64_t> numbers;
  for (std::uint64_t i = 0; i < 1000000; i++) numbers.push_back(i * i);
  std::uint64_t sum = 0;
  for (auto each : numbers) sum += each;
  std::printf("vector: %zu elements, sum %llu\n", numbers.size(), static_cast<unsigned long long>(sum));

  std::string text;
  for (int i = 0; i < 50000; i++) text += std::to_string(i);
  std::printf("string: %zu bytes\n", text.size());

  std::map<std::string, std::vector<int>> map;
  for (int i = 0; i < 20000; i++) map["a key that is long enough for the heap " + std::to_string(i % 1000)].push_back(i);
  for (int i = 0; i < 1000; i += 2) map.erase("a key that is long enough for the heap " + std::to_string(i));
  std::size_t values = 0;
  for (auto &[key, list] : map) values += list.size();
  std::printf("map: %zu keys, %zu values\n", map.size(), values);

  std::unordered_map<int, std::string> hashed;
  for (int i = 0; i < 20000; i++) hashed[i * 7] = std::string(i % 100, 'x');
  std::size_t bytes = 0;
  for (auto &each : hashed) bytes += each.second.size();
  std::printf("unordered_map: %zu keys, %zu bytes\n", hashed.size(), bytes);

  aligned<Line>();
  aligned<Pages>();
  CHECK(!new (std::nothrow) char[0xf0000000u]);
  std::printf("%d failures\n", failures);
  return failures != 0;
}
