--- safetensors files that break one rule each, and structures that somebody else wrote: every one ends
--- in a sentence with the path.

local mascon = require "mascon"

local folder

local function u64(n)
  local bytes = {}
  for i = 1, 8 do
    bytes[i] = string.char(n % 256)
    n = math.floor(n / 256)
  end
  return table.concat(bytes)
end

local function write(text)
  local f = assert(io.open(folder .. "/bad.safetensors", "wb"))
  f:write(text)
  f:close()
end

local function file(header, data)
  return u64(#header) .. header .. (data or "")
end

local function load()
  return mascon.load(folder .. "/bad.safetensors")
end

local function refused(pattern, text)
  write(text)
  local good, message = pcall(load)
  assert.is_false(good, text)
  assert.matches("load: .*bad.safetensors.*" .. pattern, message)
end

local function accepted(text)
  write(text)
  return load()
end

--- One tensor "a" with these fields.
local function one(dtype, shape, from, to, data)
  return file(('{"a":{"dtype":"%s","shape":%s,"data_offsets":[%s,%s]}}'):format(dtype, shape, from, to),
    ("x"):rep(data))
end

local function two(first, second, data)
  return file(('{"a":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]},'
    .. '"b":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}}'):format(first[2] - first[1], first[1],
    first[2], second[2] - second[1], second[1], second[2]), ("x"):rep(data))
end

--- A file that only holds a structure.
local function structured(text)
  return file('{"__metadata__":{"mascon.structure":"' .. text:gsub('["\\]', "\\%0") .. '"}}')
end

describe("a hostile safetensors file", function()
  setup(function()
    local pipe = io.popen "mktemp -d"
    folder = pipe:read "*l"
    pipe:close()
  end)

  teardown(function()
    os.execute("rm -rf '" .. folder .. "'")
  end)

  it("S1: header length", function()
    refused("has 9 bytes; a safetensors file has 10 or more", u64(2) .. "{")
    refused("no known kind", u64(1) .. "{}")
    refused("header of 3 bytes in a file of 10 bytes; the file is cut off", u64(3) .. "{}")
    refused("no known kind", u64(100000001) .. "{}")
    refused("header of 99,999,999 bytes in a file", u64(99999999) .. "{}")
    refused("no known kind", ("\255"):rep(8) .. "{}")
  end)

  it("S2: header text", function()
    refused("no known kind", file(" {}"))
    refused("only spaces may follow", file "{} \n")
    refused("only spaces may follow", file "{}{}")
    refused("no known kind", file "\239\187\191{}")
    refused("not valid UTF%-8, or holds a zero byte", file "{\0}")
    refused("not valid UTF%-8", file '{"\192\128":1}')
    refused("not valid UTF%-8", file '{"\237\160\128":1}')
    refused("not valid UTF%-8", file '{"\244\144\128\128":1}')
    assert.same({}, (accepted(file "{}   ")))
    assert.same({}, (accepted(file "{ \n\t\r}")))
  end)

  it("S3: the subset of JSON", function()
    for _, number in ipairs { "-0", "+0", "00", "0.0", "0e0", "true", "null", '"0"', "[0]", "" } do
      refused("header: ", one("U8", "[0]", number, "0", 0))
    end
    refused("below 2^63", one("U8", "[0]", "0", "9223372036854775808", 0))
    refused("below 2^63", one("U8", "[99999999999999999999999]", "0", "0", 0))
    refused("a string expected", file "{a:1}")
    refused("a string expected", file '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},}')
    refused("':' expected", file '{"a" 1}')
    refused("'{' expected", file '{"a":[[[[[[]]]]]]}')
    refused("a whole number from 0 expected", one("U8", "[[1]]", "0", "1", 1))
    refused("the header ends", file '{"a":{')
    refused("no lone surrogate", file '{"\\ud800":1}')
    refused("no lone surrogate", file '{"\\ud800\\u0041":1}')
    refused("no lone surrogate", file '{"\\udc00":1}')
    refused("four hexadecimal digits", file '{"\\u00g0":1}')
    refused("after a backslash", file '{"\\x":1}')
    refused("control character", file '{"\n":1}')
    refused("at the end of a string", file '{"abc')
    local got = accepted(file '{"\\u00e9\\ud83d\\ude00\\/":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}')
    assert.truthy(got["\195\169\240\159\152\128/"])
  end)

  it("S4: duplicate keys", function()
    local a = '"dtype":"U8","shape":[0],"data_offsets":[0,0]'
    refused('duplicate name "a"', file(('{"a":{%s},"a":{%s}}'):format(a, a)))
    refused('duplicate name "a"', file(('{"a":{%s},"\\u0061":{%s}}'):format(a, a)))
    refused('duplicate name "dtype"', file(('{"a":{"dtype":"U8",%s}}'):format(a)))
    refused('duplicate name "k"', file '{"__metadata__":{"k":"1","k":"2"}}')
    refused('duplicate name "__metadata__"', file '{"__metadata__":{},"__metadata__":{}}')
  end)

  it("S5: metadata", function()
    refused("a string expected", file '{"__metadata__":{"k":1}}')
    refused("'{' expected", file '{"__metadata__":[]}')
    refused("limit metadata_bytes = 1,048,576", file('{"__metadata__":{"k":"' .. ("x"):rep(2 ^ 20) .. '"}}'))
    local _, info = accepted(file '{"__metadata__":{"k":"v","":""}}')
    assert.same({ k = "v", [""] = "" }, info.metadata)
  end)

  it("S6: names and fields", function()
    local a = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    refused("1 to 512 bytes", file('{"":' .. a .. "}"))
    refused("1 to 512 bytes", file('{"' .. ("n"):rep(513) .. '":' .. a .. "}"))
    refused("no control characters", file('{"a\\u0000":' .. a .. "}"))
    refused("no control characters", file('{"a\\n":' .. a .. "}"))
    refused('unknown field of a tensor "extra"', file '{"a":{"extra":1}}')
    refused("missing in tensor", file '{"a":{"dtype":"U8","shape":[0]}}')
    refused("a string expected", file '{"a":{}}')
    refused("'{' expected", file '{"a":1}')
    assert.truthy(accepted(file('{"' .. ("n"):rep(512) .. '":' .. a .. "}")))
  end)

  it("S7: dtypes", function()
    refused('tensor "a" has the unknown dtype "F31"', one("F31", "[1]", "0", "4", 4))
    refused('tensor "a" has dtype U16, which mascon cannot hold', one("U16", "[1]", "0", "2", 2))
    refused('tensor "a" has dtype F8_E4M3', one("F8_E4M3", "[1]", "0", "1", 1))
    refused('tensor "a" has dtype F4', one("F4", "[2]", "0", "1", 1))
    refused('tensor "a" has dtype F8_E5M2FNUZ', one("F8_E5M2FNUZ", "[1]", "0", "1", 1))
    refused('tensor "a" has dtype C64', one("C64", "[1]", "0", "8", 8))
  end)

  it("S8: shapes", function()
    refused("more than 8 dimensions", one("U8", "[1,1,1,1,1,1,1,1,1]", "0", "1", 1))
    refused("more than 2^62 elements", one("U8", "[4294967296,4294967296]", "0", "0", 0))
    refused("more than 2^62 elements", one("U8", "[0,9223372036854775807,2]", "0", "0", 0))
    refused("no whole number of bytes", one("F64", "[1152921504606846976]", "0", "0", 0))
    refused("no whole number of bytes", one("F4", "[1]", "0", "1", 1))
    assert.same({}, accepted(one("U8", "[]", "0", "1", 1)).a.shape)
    assert.same({ 3, 0 }, accepted(one("U8", "[3,0]", "0", "0", 0)).a.shape)
  end)

  it("S9, S10: ranges of one tensor", function()
    refused("data_offsets 2..1, the file holds 0..2", one("U8", "[1]", "2", "1", 2))
    refused("data_offsets 0..3, the file holds 0..2", one("U8", "[3]", "0", "3", 2))
    refused("needs 4 bytes, data_offsets give 3", one("F32", "[1]", "0", "3", 3))
    refused("needs 1 bytes, data_offsets give 2", one("U8", "[1]", "0", "2", 2))
    refused("'%]' expected", one("U8", "[1]", "0", "1,1", 1))
    refused("',' expected", file '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}')
  end)

  it("S11, S12: all ranges", function()
    refused('"a" ends at byte 4, "b" begins at 3; ranges overlap', two({ 0, 4 }, { 3, 6 }, 6))
    refused('"a" ends at byte 4, "b" begins at 0; ranges overlap', two({ 0, 4 }, { 0, 4 }, 4))
    refused('"a" ends at byte 2, "b" begins at 3; the bytes between', two({ 0, 2 }, { 3, 6 }, 6))
    refused("the header ends at byte 0", two({ 1, 2 }, { 2, 6 }, 6))
    refused("tensors end at byte 6 of the data, which has 7", two({ 0, 2 }, { 2, 6 }, 7))
    refused("ranges overlap", two({ 0, 4 }, { 2, 2 }, 4))
    assert.truthy(accepted(two({ 0, 4 }, { 4, 4 }, 4)))
    assert.truthy(accepted(two({ 4, 4 }, { 0, 4 }, 4)))
    assert.truthy(accepted(two({ 0, 0 }, { 0, 4 }, 4)))
  end)

  it("S13: no tensors, no data", function()
    refused("tensors end at byte 0 of the data, which has 1", file("{}", "x"))
  end)

  it("S14, S15: unaligned data, booleans", function()
    for pad = 0, 7 do
      local header = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}' .. (" "):rep(pad)
      assert.equal(1, accepted(file(header, "\0\0\128\63")).a:item())
    end
    local text = file('{"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}}', "\0\1\2")
    assert.same({ 0, 1, 1 }, accepted(text).a:to("uint8"):totable())
  end)

  it("refuses every prefix of a good file", function()
    mascon.save(folder .. "/good", { a = mascon.ones { 2, 3 }, b = { 1, "x", mascon.ones { 1 } } })
    local f = assert(io.open(folder .. "/good", "rb"))
    local text = f:read "*a"
    f:close()
    for n = 0, #text - 1 do
      write(text:sub(1, n))
      assert.is_false((pcall(load)), n)
    end
    write(text .. "\0")
    assert.is_false((pcall(load)))
    write(text)
    assert.is_true((pcall(load)))
  end)

  it("refuses a bad structure", function()
    for text, pattern in pairs {
      [""] = "expected at byte 0",
      ['["mascon",1,1'] = "%] expected at byte 13",
      ['["mascon",1,1]]'] = "the end expected",
      ['["mascon",2,1]'] = "version 2, made by a later mascon",
      ['["mascon",1,["t","a"]]'] = 'names tensor "a", which the file does not hold',
      ['["mascon",1,["x","a"]]'] = "a known tag",
      ['["mascon",1,["r",1]]'] = "the number of an earlier table",
      ['["mascon",1,["T",[["r",1]],[]]]'] = "the number of an earlier table",
      ['["mascon",1,["T",[1,2],[2,3]]]'] = 'the key "2" twice',
      ['["mascon",1,["T",[],["k",1,"k",2]]]'] = 'the key "k" twice',
      ['["mascon",1,["T",[],[true,1]]]'] = "a key expected",
      ['["mascon",1,["T",[],[["n","nan"],1]]]'] = "a key expected",
      ['["mascon",1,["T",[],["k"]]]'] = ", expected",
      ['["mascon",1,["n","x"]]'] = "nan, inf or %-inf",
      ['["mascon",1,["b","0"]]'] = "hexadecimal",
      ['["mascon",1,0x]'] = "%] expected",
      ['["mascon",1,-]'] = "a number expected",
      ['["mascon",1,"x]'] = "a closing quote",
      ['["mascon",1,"\\q"]'] = "an escape",
    } do
      refused(pattern, structured(text))
    end
    refused("nested deeper than 32", structured('["mascon",1,' .. ('["T",['):rep(1000)))
  end)
end)
