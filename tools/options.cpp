#include "tools/options.hpp"

#include "tools/failure.hpp"
#include "tools/text.hpp"

#include <CLI/CLI.hpp>
#include <sstream>
#include <string_view>

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

// How --help looks: one column of options, one of wrapped descriptions, and nothing that a reader does
// not need (what excludes what is said when somebody tries it).
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

// The verb as one types it: "shmbus topic create".
std::string full_name(const CLI::App* verb) {
    std::string name = verb->get_name();
    while ((verb = verb->get_parent()) != nullptr) name.insert(0, verb->get_name() + ' ');
    return name;
}

std::string help_of(const CLI::App& verb) {
    const CLI::App* const parent = verb.get_parent();
    return verb.help(parent == nullptr ? "" : full_name(parent));
}

// The innermost verb that was recognised.
const CLI::App& parsed_verb(const CLI::App& root) {
    const CLI::App* app = &root;
    while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
    return *app;
}

std::string listed(const std::vector<std::string>& words) {
    std::string list;
    for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
    return list;
}

// "there is no 'puub'; did you mean 'pub'?"
std::string no_such_verb(const std::string& typed, const std::vector<std::string>& verbs) {
    const std::string meant = nearest_word(typed, verbs);
    return "there is no '" + printable(typed) + "'; " +
           (meant.empty() ? "there are " + listed(verbs) : "did you mean '" + meant + "'?");
}

// "--from is given more than once". CLI11 counts texts there, and says it with names of types.
std::string given_again(const CLI::App* verb) {
    for (; verb != nullptr; verb = verb->get_parent())
        for (const CLI::Option* const option : verb->get_options())
            if (option->get_items_expected_max() == 1 && option->count() > 1)
                return option->get_name() + " is given more than once";
    return {};
}

// What is wrong with the command line, in one line: a verb that does not exist is the first
// suspect.
Failure usage_failure(const CLI::App& root, const CLI::ParseError& error) {
    const CLI::App& verb = parsed_verb(root);
    std::vector<std::string> verbs;
    const auto is_shown = [](const CLI::App* app) { return !app->get_group().empty(); };
    for (const CLI::App* const app : verb.get_subcommands(is_shown))
        verbs.push_back(app->get_name());
    const std::vector<std::string> extra =
        root.remaining(true); // what no verb wanted falls to the root
    std::string problem = error.what();
    if (!verbs.empty() && !extra.empty() && !extra.front().starts_with('-'))
        problem = no_such_verb(extra.front(), verbs);
    else if (!extra.empty())
        problem = "not expected: '" + printable(extra.front()) + "'";
    else if (!verbs.empty() && verb.get_require_subcommand_min() > 0)
        problem = "what about " + verb.get_name() + "? There are " + listed(verbs);
    else if (const std::string again = given_again(&verb); !again.empty())
        problem = again;
    return {ExitCode::usage, problem + " (see " + full_name(&verb) + " --help)"};
}

// CLI11 leaves a verb at "++". It might be somebody's DATA, so it must not vanish.
bool has_bare_plus_plus(int argc, const char* const* argv) {
    for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i)
        if (std::string_view(argv[i]) == "++") return true;
    return false;
}

// Takes one text, or all of them; a Failure, or an Error, becomes what CLI11 expects of a text that
// is no good.
template <class Text>
std::function<void(const Text&)> named(const std::string& name,
                                       std::function<void(const Text&)> take) {
    return [name, take = std::move(take)](const Text& text) {
        try {
            take(text);
        } catch (const Failure& failure) {
            throw CLI::ValidationError(name, failure.what());
        } catch (const Error& error) {
            throw CLI::ValidationError(name, error.what());
        }
    };
}

} // namespace

Option Option::type(const std::string& name) const {
    option_->type_name(name);
    return *this;
}

Option Option::required() const {
    option_->required();
    return *this;
}

Option Option::excludes(Option other) const {
    option_->excludes(other.option_);
    return *this;
}

Option Option::needs(Option other) const {
    option_->needs(other.option_);
    return *this;
}

Option Option::check(Take check) const {
    option_->check([check = std::move(check)](const std::string& text) -> std::string {
        try {
            check(text);
            return {};
        } catch (const Failure& failure) {
            return failure.what();
        }
    });
    return *this;
}

Option Option::one_of(const std::vector<std::string>& words) const {
    option_->check(CLI::IsMember(words));
    return *this;
}

Verb Verb::add_verb(const std::string& name, const std::string& help) const {
    CLI::App* const verb = app_->add_subcommand(name, help);
    verb->footer(""); // or it would inherit this one's
    return Verb(verb);
}

void Verb::alias(const std::string& name) const { app_->alias(name); }

void Verb::hide() const { app_->group(""); }

void Verb::require_verb() const { app_->require_subcommand(1); }

Option Verb::add(const std::string& name, std::string& target, const std::string& help) const {
    return Option(app_->add_option(name, target, help));
}

Option Verb::add(const std::string& name, std::vector<std::string>& target,
                 const std::string& help) const {
    return Option(app_->add_option(name, target, help));
}

Option Verb::add(const std::string& name, Take take, const std::string& help) const {
    return Option(app_->add_option_function(name, named(name, std::move(take)), help));
}

Option Verb::add_repeated(const std::string& name, TakeAll take, const std::string& help) const {
    return Option(app_->add_option_function(name, named(name, std::move(take)), help)
                      ->allow_extra_args(false));
}

Option Verb::add_flag(const std::string& name, bool& target, const std::string& help) const {
    return Option(app_->add_flag(name, target, help));
}

Option Verb::add_flag(const std::string& name, std::function<void()> set,
                      const std::string& help) const {
    return Option(app_->add_flag_callback(name, std::move(set), help));
}

void Verb::add_version(const std::string& name, const std::string& text,
                       const std::string& help) const {
    app_->set_version_flag(name, text, help);
}

void Verb::add_unavailable_option(const std::string& name, const std::string& reason) const {
    app_->add_option_function<std::string>(
            name, [=](const std::string&) { throw CLI::ValidationError(name, reason); })
        ->group("");
}

void Verb::add_unavailable_flag(const std::string& name, const std::string& reason) const {
    app_->add_flag_callback(name, [=] { throw CLI::ValidationError(name, reason); })->group("");
}

void Verb::footer(const std::string& text) const { app_->footer(text); }

void Verb::callback(std::function<void()> parsed) const { app_->callback(std::move(parsed)); }

CommandLine::CommandLine(const std::string& name, const std::string& help)
    : root_(std::make_unique<CLI::App>(help, name)) {
    root_->require_subcommand(0, 1);
    root_->fallthrough();
    root_->formatter(std::make_shared<Formatter>());
    root_->set_help_flag("-h,--help", "print this and exit");
}

CommandLine::~CommandLine() = default;

std::optional<std::string> CommandLine::parse(int argc, const char* const* argv) {
    if (has_bare_plus_plus(argc, argv))
        throw Failure(ExitCode::usage, "put -- before a '++' that stands alone");
    try {
        root_->parse(argc, argv);
        return std::nullopt;
    } catch (const CLI::CallForHelp&) {
        return help_of(parsed_verb(*root_));
    } catch (const CLI::CallForVersion& version) {
        return std::string(version.what()) + '\n';
    } catch (const CLI::ParseError& error) {
        throw usage_failure(*root_, error);
    }
}

} // namespace shmbus::tools
