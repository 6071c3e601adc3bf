#include "tools/help.hpp"

#include <sstream>

namespace shmbus::tools {

namespace {

constexpr std::size_t option_column = 36;
constexpr std::size_t description_column = 64;

std::string wrapped(const std::string& text) {
    std::string lines;
    std::size_t length = 0;
    std::istringstream words(text);
    for (std::string word; words >> word; length += word.size()) {
        if (length + 1 + word.size() > description_column) {
            lines += '\n';
            length = 0;
        } else if (length > 0) {
            lines += ' ';
            ++length;
        }
        lines += word;
    }
    return lines;
}

class Formatter final : public CLI::Formatter {
  public:
    Formatter() { column_width(option_column); }
    std::string make_option_opts(const CLI::Option* option) const override {
        if (option->get_positional() || option->get_type_size() == 0) return {};
        return ' ' + option->get_type_name();
    }
    std::string make_option_desc(const CLI::Option* option) const override {
        return wrapped(option->get_description());
    }
    std::string make_footer(const CLI::App* verb) const override {
        const std::string footer = verb->get_footer();
        if (verb->get_parent() == nullptr) return '\n' + footer + '\n';
        return (footer.empty() ? "" : '\n' + footer + '\n') +
               "\nOptions of every verb: shmbus --help\n";
    }
};

} // namespace

std::shared_ptr<CLI::FormatterBase> help_formatter() { return std::make_shared<Formatter>(); }

std::string help_of(const CLI::App& verb) {
    const CLI::App* const parent = verb.get_parent();
    return verb.help(parent == nullptr ? "" : full_name(parent));
}

std::string full_name(const CLI::App* verb) {
    std::string name = verb->get_name();
    while ((verb = verb->get_parent()) != nullptr) name.insert(0, verb->get_name() + ' ');
    return name;
}

} // namespace shmbus::tools
