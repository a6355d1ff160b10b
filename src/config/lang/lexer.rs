//! Configuration text to items: keys, values, brackets, includes.
//!
//! A state machine with a stack. What may follow a value depends on where the value stands, so
//! that state is pushed before a value is read and taken back after it. The states and their
//! transitions are those of spec 02 §1.2-§1.8, including the quirks listed there; each state's
//! function consumes some input and names the next state.

use std::fmt::Display;

/// What the lexer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemKind {
    End,
    Key,
    String,
    Bool,
    /// Digits and maybe a size suffix.
    Integer,
    Float,
    Datetime,
    ArrayStart,
    ArrayEnd,
    TableStart,
    TableEnd,
    /// The name of a variable, without the dollar sign.
    Variable,
    /// The path of an include.
    Include,
}

/// One item with its text and place.
#[derive(Debug)]
pub(super) struct Item {
    pub kind: ItemKind,
    pub text: Vec<u8>,
    pub line: usize,
    pub column: usize,
}

/// Why the text cannot be read on, and the line.
#[derive(Debug)]
pub(super) struct LexerError {
    pub line: usize,
    pub reason: String,
}

/// Stands for the end of the input, which cannot be told from a zero byte in the text.
const END: char = '\0';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Top,
    TopValueEnd,
    BlockStart,
    BlockValueEnd,
    BlockEnd,
    Key,
    QuotedKey(char),
    KeyEnd,
    Value,
    ArrayValue,
    ArrayValueEnd,
    TableKeyStart,
    TableKey,
    QuotedTableKey(char),
    TableKeyEnd,
    TableValue,
    TableValueEnd,
    QuotedString,
    DoubleQuotedString,
    BareString,
    BlockString,
    Number,
    SuffixedNumber,
    Include,
    Finished,
}

/// The digit zero of each script; the other nine follow it.
const ZEROS: [u32; 67] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6,
    0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50,
    0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x11f50, 0x16a60, 0x16ac0,
    0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e4f0, 0x1e950,
    0x1fbf0,
];

/// A digit of any script. Only ASCII digits make numbers in the end; the others are refused when
/// the number is converted.
fn is_digit(c: char) -> bool {
    let code = u32::from(c);
    c.is_ascii_digit()
        || !c.is_ascii() && ZEROS.iter().any(|zero| (*zero..zero + 10).contains(&code))
}

fn is_newline(c: char) -> bool {
    c == '\n' || c == '\r'
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn is_separator(c: char) -> bool {
    c == '=' || c == ':'
}

/// What ends a number besides another character that turns it into a string. A closing bracket
/// is not among them: `[1, 2]` needs a space or newline before it.
fn ends_number(c: char) -> bool {
    is_newline(c) || is_blank(c) || matches!(c, END | '}' | ';' | ',')
}

/// A character as it appears in an error text.
fn shown(c: char) -> String {
    if c == '\n' { "\\n".to_owned() } else { c.to_string() }
}

type Step = Result<State, LexerError>;

/// The state machine. Call [`Lexer::next_item`] until it returns [`ItemKind::End`] or an error.
pub(super) struct Lexer<'a> {
    input: &'a [u8],
    /// Where the pending item starts.
    start: usize,
    /// Where reading goes on.
    at: usize,
    /// Bytes of the character read last, for going back one.
    width: usize,
    line: usize,
    /// Where the newline before the current line is, 0 on the first line.
    line_start: usize,
    /// The same for the line on which the pending item starts.
    item_line_start: usize,
    state: State,
    stack: Vec<State>,
    /// The decoded beginning of a string with escapes.
    decoded: Option<Vec<u8>>,
    found: Option<Item>,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a [u8]) -> Lexer<'a> {
        Lexer {
            input,
            start: 0,
            at: 0,
            width: 0,
            line: 1,
            line_start: 0,
            item_line_start: 0,
            state: State::Top,
            stack: Vec::new(),
            decoded: None,
            found: None,
        }
    }

    /// The next item. After the end and after an error there is only the end.
    pub(super) fn next_item(&mut self) -> Result<Item, LexerError> {
        loop {
            if let Some(item) = self.found.take() {
                return Ok(item);
            }
            if self.state == State::Finished {
                return Ok(self.item(ItemKind::End, Vec::new()));
            }
            // An error leaves the machine finished.
            let state = std::mem::replace(&mut self.state, State::Finished);
            self.state = self.step(state)?;
        }
    }

    fn step(&mut self, state: State) -> Step {
        match state {
            State::Top => self.top(),
            State::TopValueEnd => self.top_value_end(),
            State::BlockStart => self.block_start(),
            State::BlockValueEnd => self.block_value_end(),
            State::BlockEnd => self.block_end(),
            State::Key => self.key(),
            State::QuotedKey(quote) => self.quoted_key(quote),
            State::KeyEnd => self.key_end(),
            State::Value => self.value(),
            State::ArrayValue => self.array_value(),
            State::ArrayValueEnd => self.array_value_end(),
            State::TableKeyStart => self.table_key_start(),
            State::TableKey => self.table_key(),
            State::QuotedTableKey(quote) => self.quoted_table_key(quote),
            State::TableKeyEnd => self.table_key_end(),
            State::TableValue => self.table_value(),
            State::TableValueEnd => self.table_value_end(),
            State::QuotedString => self.quoted_string(),
            State::DoubleQuotedString | State::BareString => self.escapable_string(state),
            State::BlockString => self.block_string(),
            State::Number => self.number(),
            State::SuffixedNumber => self.suffixed_number(),
            State::Include => self.include(),
            State::Finished => Ok(State::Finished),
        }
    }

    // Reading characters.

    fn next(&mut self) -> char {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let Some(&first) = rest.first() else {
            self.width = 0;
            return END;
        };
        if first == b'\n' {
            self.line += 1;
            self.line_start = self.at;
        }
        let (c, width) = if first.is_ascii() {
            (char::from(first), 1)
        } else {
            let head = rest.get(..rest.len().min(4)).unwrap_or_default();
            let valid = head.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            match valid.chars().next() {
                Some(c) => (c, c.len_utf8()),
                None => (char::REPLACEMENT_CHARACTER, 1),
            }
        };
        self.width = width;
        self.at += width;
        c
    }

    /// Goes back over the character read last.
    fn back(&mut self) {
        self.at -= self.width;
        if self.input.get(self.at) == Some(&b'\n') {
            self.line -= 1;
        }
    }

    fn peek(&mut self) -> char {
        let c = self.next();
        self.back();
        c
    }

    /// Drops what was read, so that the next item starts here.
    fn ignore(&mut self) {
        self.start = self.at;
        self.item_line_start = self.line_start;
    }

    fn skip(&mut self, next: State) -> Step {
        self.ignore();
        Ok(next)
    }

    fn pending(&self) -> &'a [u8] {
        self.input.get(self.start..self.at).unwrap_or_default()
    }

    fn item(&self, kind: ItemKind, text: Vec<u8>) -> Item {
        let from_line_start = self.at.saturating_sub(self.item_line_start);
        let column = from_line_start.saturating_sub(text.len());
        Item { kind, text, line: self.line, column }
    }

    fn emit(&mut self, kind: ItemKind) {
        let mut text = self.decoded.take().unwrap_or_default();
        text.extend_from_slice(self.pending());
        self.found = Some(self.item(kind, text));
        self.ignore();
    }

    fn push(&mut self, state: State) {
        self.stack.push(state);
    }

    fn pop(&mut self) -> Step {
        match self.stack.pop() {
            Some(state) => Ok(state),
            None => self.fail("BUG in lexer: no states to pop."),
        }
    }

    fn fail(&self, reason: impl Display) -> Step {
        Err(LexerError { line: self.line, reason: reason.to_string() })
    }

    /// The end of the input where it is allowed, unless something was left unread.
    fn end(&mut self) -> Step {
        if self.at > self.start {
            return self.fail("Unexpected EOF.");
        }
        self.emit(ItemKind::End);
        Ok(State::Finished)
    }

    /// After a hash or slash was read: consumes the comment if there is one, up to but without
    /// its newline. A slash that starts no comment stays consumed.
    fn comment(&mut self, c: char) -> bool {
        if c == '/' && self.next() != '/' {
            self.back();
            return false;
        }
        if c != '#' && c != '/' {
            return false;
        }
        loop {
            let c = self.peek();
            if is_newline(c) || c == END {
                break;
            }
            self.next();
        }
        self.ignore();
        true
    }

    // Between values.

    fn top(&mut self) -> Step {
        let c = self.next();
        if c.is_whitespace() {
            return self.skip(State::Top);
        }
        match c {
            '{' => {
                self.push(State::Top);
                self.skip(State::BlockStart)
            }
            '#' | '/' if self.comment(c) => Ok(State::Top),
            '/' | END => self.end(),
            _ => {
                self.back();
                self.push(State::TopValueEnd);
                self.key_start()
            }
        }
    }

    fn top_value_end(&mut self) -> Step {
        let c = self.next();
        match c {
            '#' | '/' => Ok(if self.comment(c) { State::Top } else { State::TopValueEnd }),
            ' ' | '\t' => Ok(State::TopValueEnd),
            '\n' | '\r' | END | ';' | ',' | '}' => self.skip(State::Top),
            _ => self.fail(format_args!(
                "Expected a top-level value to end with a new line, comment or EOF, but got '{}' \
                 instead.",
                shown(c)
            )),
        }
    }

    fn block_start(&mut self) -> Step {
        let c = self.next();
        if c.is_whitespace() {
            return self.skip(State::BlockStart);
        }
        match c {
            '{' => {
                self.push(State::BlockEnd);
                self.skip(State::BlockStart)
            }
            '}' => {
                self.ignore();
                self.pop()
            }
            '#' | '/' if self.comment(c) => Ok(State::BlockStart),
            '/' | END => self.end(),
            _ => {
                self.back();
                self.push(State::BlockValueEnd);
                self.key_start()
            }
        }
    }

    fn block_value_end(&mut self) -> Step {
        let c = self.next();
        match c {
            '#' | '/' => {
                self.comment(c);
                Ok(State::BlockValueEnd)
            }
            ' ' | '\t' => Ok(State::BlockValueEnd),
            '\n' | '\r' | ';' | ',' => self.skip(State::BlockStart),
            '}' => {
                self.back();
                Ok(State::BlockEnd)
            }
            _ => self.fail(format_args!(
                "Expected a block-level value to end with a new line, comment or EOF, but got \
                 '{}' instead.",
                shown(c)
            )),
        }
    }

    fn block_end(&mut self) -> Step {
        let c = self.next();
        match c {
            '#' | '/' => Ok(if self.comment(c) { State::BlockStart } else { State::BlockEnd }),
            ' ' | '\t' | '\n' | '\r' => Ok(State::BlockEnd),
            ';' | ',' => self.skip(State::BlockStart),
            '}' => {
                self.ignore();
                self.pop()
            }
            _ => self.fail(format_args!(
                "Expected a block-level to end with a '}}', but got '{}' instead.",
                shown(c)
            )),
        }
    }

    // Keys outside of tables.

    /// At the first character of a key, which is no space.
    fn key_start(&mut self) -> Step {
        let c = self.peek();
        if is_separator(c) {
            return self.fail(format_args!("Unexpected key separator '{}'", shown(c)));
        }
        if c == '"' || c == '\'' {
            self.next();
            return self.skip(State::QuotedKey(c));
        }
        self.ignore();
        self.next();
        Ok(State::Key)
    }

    fn key(&mut self) -> Step {
        loop {
            let c = self.peek();
            if c.is_whitespace() {
                return self.end_of_word(State::KeyEnd, None);
            }
            if is_separator(c) || c == END {
                self.emit(ItemKind::Key);
                return Ok(State::KeyEnd);
            }
            self.next();
        }
    }

    fn quoted_key(&mut self, quote: char) -> Step {
        loop {
            let c = self.peek();
            if c == quote {
                self.emit(ItemKind::Key);
                self.next();
                return self.skip(State::KeyEnd);
            }
            if c == END {
                return self.end();
            }
            self.next();
        }
    }

    fn key_end(&mut self) -> Step {
        let c = self.next();
        if c.is_whitespace() {
            return self.skip(State::KeyEnd);
        }
        if is_separator(c) {
            return self.skip(State::Value);
        }
        if c == END {
            self.emit(ItemKind::End);
            return Ok(State::Finished);
        }
        self.back();
        Ok(State::Value)
    }

    /// At the space after a word: the keyword `include`, or a key.
    fn end_of_word(&mut self, after_key: State, after_include: Option<State>) -> Step {
        if self.pending().eq_ignore_ascii_case(b"include") {
            self.ignore();
            if let Some(state) = after_include {
                self.push(state);
            }
            return Ok(State::Include);
        }
        self.emit(ItemKind::Key);
        Ok(after_key)
    }

    // Includes.

    fn include(&mut self) -> Step {
        let c = self.next();
        let refused = match c {
            ' ' | '\t' => return self.skip(State::Include),
            '\'' => return self.quoted_include('\'', "Unexpected EOF in quoted include"),
            '"' => return self.quoted_include('"', "Unexpected EOF in double quoted include"),
            '[' => "start of an array",
            '{' => "start of a map",
            '(' => "start of a block",
            '-' => "start of a number",
            '\\' => "escape sequence",
            _ if is_digit(c) => "start of a number",
            _ if is_newline(c) => "new line",
            _ => {
                self.back();
                return self.bare_include();
            }
        };
        self.fail(format_args!("Expected include value but found {refused}"))
    }

    fn quoted_include(&mut self, quote: char, unfinished: &str) -> Step {
        self.ignore();
        loop {
            match self.next() {
                c if c == quote => return self.emit_before_quote(ItemKind::Include),
                END => return self.fail(unfinished),
                _ => {}
            }
        }
    }

    fn bare_include(&mut self) -> Step {
        loop {
            let c = self.next();
            if is_newline(c) || is_blank(c) || matches!(c, END | ';' | '}') {
                self.back();
                self.emit(ItemKind::Include);
                return self.pop();
            }
            if c == '\'' {
                return self.emit_before_quote(ItemKind::Include);
            }
        }
    }

    /// Emits what precedes the quote just read, and drops the quote.
    fn emit_before_quote(&mut self, kind: ItemKind) -> Step {
        self.back();
        self.emit(kind);
        self.next();
        self.ignore();
        self.pop()
    }

    // Values.

    fn value(&mut self) -> Step {
        let c = self.next();
        match c {
            ' ' | '\t' => self.skip(State::Value),
            '[' => {
                self.ignore();
                self.emit(ItemKind::ArrayStart);
                Ok(State::ArrayValue)
            }
            '{' => {
                self.ignore();
                self.emit(ItemKind::TableStart);
                Ok(State::TableKeyStart)
            }
            '\'' => self.skip(State::QuotedString),
            '"' => self.skip(State::DoubleQuotedString),
            '-' => self.negative_number(),
            '(' => self.skip(State::BlockString),
            '.' => self.fail("Floats must start with a digit"),
            _ if is_digit(c) => Ok(State::Number),
            _ if is_newline(c) => self.fail("Expected value but found new line"),
            _ => {
                self.back();
                Ok(State::BareString)
            }
        }
    }

    fn array_value(&mut self) -> Step {
        let c = self.next();
        if c.is_whitespace() {
            return self.skip(State::ArrayValue);
        }
        match c {
            '#' | '/' if self.comment(c) => Ok(State::ArrayValue),
            '/' | ',' => self.fail("Unexpected array value terminator ','."),
            ']' => self.close(ItemKind::ArrayEnd),
            _ => {
                self.back();
                self.push(State::ArrayValueEnd);
                Ok(State::Value)
            }
        }
    }

    fn array_value_end(&mut self) -> Step {
        let c = self.next();
        match c {
            ' ' | '\t' => self.skip(State::ArrayValueEnd),
            '#' | '/' if self.comment(c) => Ok(State::ArrayValueEnd),
            '/' | ',' | '\n' | '\r' => self.skip(State::ArrayValue),
            ']' => self.close(ItemKind::ArrayEnd),
            _ => self.fail(format_args!(
                "Expected an array value terminator \",\" or an array terminator \"]\", but got \
                 '{}' instead.",
                shown(c)
            )),
        }
    }

    /// Ends an array or table whose closing bracket was just read.
    fn close(&mut self, kind: ItemKind) -> Step {
        self.ignore();
        self.emit(kind);
        self.pop()
    }

    // Tables.

    fn table_key_start(&mut self) -> Step {
        let c = self.peek();
        match c {
            '=' | ':' => {
                return self.fail(format_args!("Unexpected key separator '{}'.", shown(c)));
            }
            ']' => return self.fail("Unexpected array end ']' processing map."),
            '}' => {
                self.next();
                return self.close(ItemKind::TableEnd);
            }
            '#' | '/' => {
                self.next();
                if self.comment(c) {
                    return Ok(State::TableKeyStart);
                }
            }
            '\'' | '"' => {
                self.next();
                return self.skip(State::QuotedTableKey(c));
            }
            END => return self.fail("Unexpected EOF processing map."),
            _ if c.is_whitespace() => {
                self.next();
                return self.skip(State::TableKeyStart);
            }
            _ => {}
        }
        self.ignore();
        self.next();
        Ok(State::TableKey)
    }

    fn table_key(&mut self) -> Step {
        loop {
            let c = self.peek();
            if c == END {
                return self.fail("Unexpected EOF processing map key.");
            }
            if c.is_whitespace() {
                return self.end_of_word(State::TableKeyEnd, Some(State::TableValueEnd));
            }
            if is_separator(c) {
                self.emit(ItemKind::Key);
                return Ok(State::TableKeyEnd);
            }
            self.next();
        }
    }

    fn quoted_table_key(&mut self, quote: char) -> Step {
        loop {
            let c = self.peek();
            if c == END {
                let kind = if quote == '"' { "double quoted" } else { "quoted" };
                return self.fail(format_args!("Unexpected EOF processing {kind} map key."));
            }
            if c == quote {
                self.emit(ItemKind::Key);
                self.next();
                return self.skip(State::TableKeyEnd);
            }
            self.next();
        }
    }

    fn table_key_end(&mut self) -> Step {
        let c = self.next();
        if c.is_whitespace() {
            return self.skip(State::TableKeyEnd);
        }
        if is_separator(c) {
            return self.skip(State::TableValue);
        }
        self.back();
        Ok(State::TableValue)
    }

    fn table_value(&mut self) -> Step {
        let c = self.next();
        match c {
            ',' => self.fail("Unexpected map value terminator \",\"."),
            '}' => self.close(ItemKind::TableEnd),
            _ if c.is_whitespace() => self.skip(State::TableValue),
            _ => {
                self.back();
                self.push(State::TableValueEnd);
                Ok(State::Value)
            }
        }
    }

    fn table_value_end(&mut self) -> Step {
        let c = self.next();
        match c {
            ' ' | '\t' => self.skip(State::TableValueEnd),
            '#' | '/' if self.comment(c) => Ok(State::TableValueEnd),
            '/' | ';' | ',' | '\n' | '\r' => self.skip(State::TableKeyStart),
            '}' => self.close(ItemKind::TableEnd),
            _ => self.fail(format_args!(
                "Expected a map value terminator \",\" or a map terminator \"}}\", but got '{}' \
                 instead.",
                shown(c)
            )),
        }
    }

    // Strings.

    fn quoted_string(&mut self) -> Step {
        loop {
            match self.next() {
                '\'' => return self.emit_before_quote(ItemKind::String),
                END => return self.end(),
                _ => {}
            }
        }
    }

    /// A string in double quotes, or one without quotes.
    fn escapable_string(&mut self, state: State) -> Step {
        let bare = state == State::BareString;
        loop {
            let c = self.next();
            match c {
                '\\' => {
                    let end = self.at.saturating_sub(1);
                    let plain = self.input.get(self.start..end).unwrap_or_default();
                    self.decoded.get_or_insert_default().extend_from_slice(plain);
                    let byte = self.escape()?;
                    self.decoded.get_or_insert_default().push(byte);
                    self.start = self.at;
                }
                '"' if !bare => return self.emit_before_quote(ItemKind::String),
                END if !bare => return self.end(),
                '\'' if bare => return self.emit_before_quote(ItemKind::String),
                END | '\n' | '\r' | ' ' | '\t' | ';' | ',' | ']' | '}' if bare => {
                    self.back();
                    self.emit_word();
                    return self.pop();
                }
                _ => {}
            }
        }
    }

    /// A word without quotes: a boolean, a variable or a string.
    fn emit_word(&mut self) {
        let word = self.pending();
        let is = |name: &&[u8]| word.eq_ignore_ascii_case(name);
        if self.decoded.is_some() {
            self.emit(ItemKind::String);
        } else if [b"true".as_slice(), b"false", b"on", b"off", b"yes", b"no"].iter().any(is) {
            self.emit(ItemKind::Bool);
        } else if word.starts_with(b"$") {
            self.start += 1;
            self.emit(ItemKind::Variable);
        } else {
            self.emit(ItemKind::String);
        }
    }

    /// The byte an escape stands for; the backslash was just read.
    fn escape(&mut self) -> Result<u8, LexerError> {
        let c = self.next();
        Ok(match c {
            'x' => return self.binary_escape(),
            't' => b'\t',
            'n' => b'\n',
            'r' => b'\r',
            '"' => b'"',
            '\\' => b'\\',
            _ => {
                let reason = format!(
                    "Invalid escape character '{}'. Only the following escape characters are \
                     allowed: \\xXX, \\t, \\n, \\r, \\\", \\\\.",
                    shown(c)
                );
                return Err(LexerError { line: self.line, reason });
            }
        })
    }

    fn binary_escape(&mut self) -> Result<u8, LexerError> {
        let wanted = "Expected two hexadecimal digits after '\\x', but";
        for _ in 0..2 {
            if is_newline(self.next()) {
                let reason = format!("{wanted} hit end of line");
                return Err(LexerError { line: self.line, reason });
            }
        }
        // The two bytes before the reading position, whatever was read as characters.
        let digits = self.input.get(self.at.saturating_sub(2)..self.at).unwrap_or_default();
        let value = |digit: Option<&u8>| digit.and_then(|&d| char::from(d).to_digit(16));
        let (high, low) = (value(digits.first()), value(digits.get(1)));
        match high.zip(low).and_then(|(high, low)| u8::try_from(high << 4 | low).ok()) {
            Some(byte) => Ok(byte),
            None => {
                let reason = format!("{wanted} got '{}'", String::from_utf8_lossy(digits));
                Err(LexerError { line: self.line, reason })
            }
        }
    }

    /// A string in parentheses, ended by a closing one alone on its line.
    fn block_string(&mut self) -> Step {
        loop {
            match self.next() {
                END => return self.fail("Unexpected EOF processing block."),
                ')' => {
                    let closing = self.at - 1;
                    let before = closing.checked_sub(1).and_then(|i| self.input.get(i));
                    if before != Some(&b'\n') {
                        continue;
                    }
                    match self.next() {
                        '\n' | END => {
                            self.back();
                            // At the very end of the input the parenthesis is part of the value.
                            if self.width > 0 {
                                self.at = closing;
                            }
                            self.emit(ItemKind::String);
                            self.next();
                            self.ignore();
                            return self.pop();
                        }
                        _ => self.back(),
                    }
                }
                _ => {}
            }
        }
    }

    // Numbers and what begins like one.

    /// After a digit.
    fn number(&mut self) -> Step {
        loop {
            let c = self.next();
            match c {
                '-' if self.pending().len() == 5 => return self.datetime_after_year(),
                '-' => return self.fail("All ISO8601 dates must be in full Zulu form."),
                '.' => return self.fraction(),
                'k' | 'K' | 'm' | 'M' | 'g' | 'G' | 't' | 'T' | 'p' | 'P' | 'e' | 'E' => {
                    return Ok(State::SuffixedNumber);
                }
                _ if is_digit(c) => {}
                _ if ends_number(c) => {
                    self.back();
                    self.emit(ItemKind::Integer);
                    return self.pop();
                }
                _ => return Ok(State::BareString),
            }
        }
    }

    fn suffixed_number(&mut self) -> Step {
        loop {
            let c = self.next();
            if matches!(c, 'b' | 'B' | 'i' | 'I') {
                continue;
            }
            self.back();
            if ends_number(c) || is_digit(c) {
                self.emit(ItemKind::Integer);
                return self.pop();
            }
            return Ok(State::BareString);
        }
    }

    /// After a minus sign.
    fn negative_number(&mut self) -> Step {
        let c = self.next();
        if c == '.' {
            return self.fail("Floats must start with a digit, not '.'.");
        }
        if !is_digit(c) {
            return self.fail(format_args!("Expected a digit but got '{}'.", shown(c)));
        }
        loop {
            match self.next() {
                '.' => return self.fraction(),
                'k' | 'K' | 'm' | 'M' | 'g' | 'G' | 't' | 'T' | 'p' | 'P' | 'e' | 'E' => {
                    return Ok(State::SuffixedNumber);
                }
                c if is_digit(c) => {}
                _ => {
                    self.back();
                    self.emit(ItemKind::Integer);
                    return self.pop();
                }
            }
        }
    }

    /// After digits and a dot. A second dot makes it an address, which is a string.
    fn fraction(&mut self) -> Step {
        let c = self.next();
        if !is_digit(c) {
            return self.fail(format_args!(
                "Floats must have a digit after the '.', but got '{}' instead.",
                shown(c)
            ));
        }
        let mut kind = ItemKind::Float;
        loop {
            let c = self.next();
            match c {
                '.' => kind = ItemKind::String,
                ':' | '-' if kind == ItemKind::String => {}
                _ if is_digit(c) => {}
                _ => {
                    self.back();
                    self.emit(kind);
                    return self.pop();
                }
            }
        }
    }

    /// After four digits and a dash.
    fn datetime_after_year(&mut self) -> Step {
        for expected in "00-00T00:00:00Z".chars() {
            let c = self.next();
            if expected == '0' {
                if !is_digit(c) {
                    return self.fail(format_args!(
                        "Expected digit in ISO8601 datetime, but found '{}' instead.",
                        shown(c)
                    ));
                }
            } else if c != expected {
                return self.fail(format_args!(
                    "Expected '{expected}' in ISO8601 datetime, but found '{}' instead.",
                    shown(c)
                ));
            }
        }
        self.emit(ItemKind::Datetime);
        self.pop()
    }
}

#[cfg(test)]
mod tests;
