#include "tools/failure.hpp"
#include "tools/format.hpp"
#include "tools/text.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace shmbus::tools {
namespace {

using namespace std::string_literals;

Record example() {
    return {.topic = "trades",
            .sequence = 17,
            .time = std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::seconds(1)),
            .key = "eu",
            .type = 3,
            .publisher = 2,
            .payload = "hello"};
}

std::string formatted(std::string_view format, const Record& record) {
    std::string out;
    Format(format).append(out, record);
    return out;
}

std::string refusal(std::string_view format) {
    try {
        static_cast<void>(Format(format));
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.code(), ExitCode::usage);
        return failure.what();
    }
    return "accepted";
}

TEST(Format, Named) {
    EXPECT_EQ(formatted("lines", example()), "hello\n");
    EXPECT_EQ(formatted("raw", example()), "hello");
    EXPECT_EQ(formatted("hex", example()), "68656c6c6f\n");
    EXPECT_EQ(formatted("framed", example()), "\5\0\0\0hello"s);
}

TEST(Format, TakesPayloadsOfAnyBytesAndNone) {
    Record record = example();
    record.payload = {};
    EXPECT_EQ(formatted("framed", record), "\0\0\0\0"s);
    EXPECT_EQ(formatted("lines", record), "\n");
    const std::string large(0x010203, 'x');
    record.payload = large;
    EXPECT_EQ(formatted("framed", record).substr(0, 4), "\x03\x02\x01\x00"s);
    const auto bytes = "\0\xff\n"s;
    record.payload = bytes;
    EXPECT_EQ(formatted("raw", record), bytes);
}

TEST(Format, RefusesAWordThatIsNoFormat) {
    EXPECT_NE(
        refusal("jsn").find("'jsn' is neither lines, raw, framed, hex or json nor a template"),
        std::string::npos);
    EXPECT_NE(refusal(""), "accepted");
}

TEST(Json, HasEveryField) {
    Record record = example();
    record.correlation = *CorrelationId::parse("000102030405060708090a0b0c0d0e0f");
    record.cause = Cause{.topic = "orders", .sequence = 5};
    record.headers = {{"a", "1"}, {"b", "2"}, {"a", "3"}};
    EXPECT_EQ(formatted("json", record),
              R"({"topic":"trades","seq":17,"time":"1970-01-01T00:00:01.000000000Z","key":"eu",)"
              R"("type":3,"correlation":"000102030405060708090a0b0c0d0e0f",)"
              R"("cause":{"topic":"orders","seq":5},"headers":{"a":["1","3"],"b":"2"},)"
              R"("publisher":2,"payload":"hello"})"
              "\n");
}

TEST(Json, SaysNullForWhatIsNotThere) {
    Record record = example();
    record.key = {};
    EXPECT_EQ(formatted("json", record),
              R"({"topic":"trades","seq":17,"time":"1970-01-01T00:00:01.000000000Z","key":null,)"
              R"("type":3,"correlation":null,"cause":null,"headers":{},"publisher":2,)"
              R"("payload":"hello"})"
              "\n");
}

TEST(Format, SaysWhichAttemptOfAGroupItIs) {
    Record record = example();
    EXPECT_EQ(formatted("%s.%a", record), "17.1\n");
    record.attempt = 3;
    EXPECT_EQ(formatted("%s.%a", record), "17.3\n");
    EXPECT_EQ(Json::parse(formatted("json", record))["attempt"], 3);
}

TEST(Json, EncodesWhatIsNoText) {
    Record record = example();
    record.key = "\xff";
    record.headers = {{"h", "\xff"}};
    record.payload = "\xff\xfe";
    record.id = 9;
    record.parent_id = {1, 2, 3, 4, 5, 6, 7, 8};
    record.trace_flags = 1;
    const auto json = Json::parse(formatted("json", record));
    EXPECT_EQ(json["key_base64"], "/w==");
    EXPECT_FALSE(json.contains("key"));
    EXPECT_EQ(json["headers_base64"], Json({{"aA==", "/w=="}}));
    EXPECT_EQ(json["payload_base64"], "//4=");
    EXPECT_FALSE(json.contains("payload"));
    EXPECT_EQ(json["id"], 9);
    EXPECT_EQ(json["parent_id"], "0102030405060708");
    EXPECT_EQ(json["trace_flags"], 1);
}

TEST(Json, KeepsALineALine) {
    Record record = example();
    record.payload = "two\nlines \"quoted\"";
    const std::string line = formatted("json", record);
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_EQ(Json::parse(line)["payload"], "two\nlines \"quoted\"");
}

TEST(Json, ShowsGaps) {
    EXPECT_TRUE(Format("json").shows_gaps());
    EXPECT_FALSE(Format("lines").shows_gaps());
    EXPECT_FALSE(Format("%s").shows_gaps());
    std::string out;
    Format("json").append_gap(out, "trades", {.first = 5, .last = 9, .reason = GapReason::overrun});
    EXPECT_EQ(out,
              "{\"topic\":\"trades\",\"gap\":{\"first\":5,\"last\":9,\"reason\":\"overrun\"}}\n");
}

TEST(Template, HasFields) {
    Record record = example();
    EXPECT_EQ(formatted("%s %t %k %y [%c] %p %T", record),
              "17 1970-01-01T00:00:01.000000000Z eu 3 [] hello trades\n");
    record.correlation = *CorrelationId::parse("000102030405060708090a0b0c0d0e0f");
    EXPECT_EQ(formatted("%c", record), "000102030405060708090a0b0c0d0e0f\n");
}

TEST(Template, EndsWithANewlineUnlessItSaysHow) {
    EXPECT_EQ(formatted("%s", example()), "17\n");
    EXPECT_EQ(formatted("%s\\n", example()), "17\n");
    EXPECT_EQ(formatted("%s\n", example()), "17\n");
    EXPECT_EQ(formatted("%s\\0", example()), "17\0"s);
    EXPECT_EQ(formatted("%s\\t", example()), "17\t\n");
    EXPECT_EQ(formatted("%s\\\\n", example()), "17\\n\n");
    EXPECT_EQ(formatted("100%% %s", example()), "100% 17\n");
}

TEST(Template, NamesWhatItDoesNotKnow) {
    EXPECT_NE(refusal("%s %x").find("'%x' in the template '%s %x'"), std::string::npos);
    EXPECT_NE(refusal("%s\\q").find("'\\q'"), std::string::npos);
    EXPECT_NE(refusal("100%").find("'%' in the template"), std::string::npos);
    EXPECT_NE(refusal("%s\\").find("'\\' in the template"), std::string::npos);
}

} // namespace
} // namespace shmbus::tools
