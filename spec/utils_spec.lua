-- What a run writes down: event files for TensorBoard, comma-separated values. That the real tensorboard
-- package reads the event files is checked by scripts/golden/tensorboard_check.py.
local mascon = require "mascon"
local utils, image = mascon.utils, mascon.image
local crc32c = require("mascon.utils.crc").crc32c

local function message(f, ...)
  local good, err = pcall(f, ...)
  assert.is_false(good)
  return tostring(err)
end

local function new_folder()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local s = file:read "*a"
  file:close()
  return s
end

local function little(s, first, count)
  local n = 0
  for i = count, 1, -1 do
    n = n * 256 + s:byte(first + i - 1)
  end
  return n
end

--- The messages of an event file; checks the framing.
local function records(bytes)
  local list, at = {}, 1
  local function check_sum(s, first)
    local sum = crc32c(s)
    local turned = math.floor(sum / 2 ^ 15) + sum % 2 ^ 15 * 2 ^ 17
    assert.equal((turned + 0xa282ead8) % 2 ^ 32, little(bytes, first, 4))
  end
  while at <= #bytes do
    local length = little(bytes, at, 8)
    check_sum(bytes:sub(at, at + 7), at + 8)
    list[#list + 1] = bytes:sub(at + 12, at + 11 + length)
    check_sum(list[#list], at + 12 + length)
    at = at + 16 + length
  end
  assert.equal(#bytes + 1, at)
  return list
end

--- The fields of a message as a list {number, value}; values of varints are numbers.
local function fields(s)
  local list, at = {}, 1
  local function varint()
    local n, factor = 0, 1
    repeat
      local b = s:byte(at)
      n, factor, at = n + b % 128 * factor, factor * 128, at + 1
    until b < 128
    return n
  end
  while at <= #s do
    local key = varint()
    local wire = key % 8
    local value
    if wire == 0 then
      value = varint()
    else
      local size = wire == 1 and 8 or wire == 5 and 4 or varint()
      value = s:sub(at, at + size - 1)
      at = at + size
    end
    list[math.floor(key / 8)] = value
  end
  return list
end

describe("CRC-32C", function()
  it("gives the known sums", function()
    assert.equal(0xe3069283, crc32c "123456789")
    assert.equal(0, crc32c "")
    assert.equal(0x8a9136aa, crc32c(("\0"):rep(32)))
    assert.equal(0x62a8ab43, crc32c(("\255"):rep(32)))
  end)
end)

describe("SummaryWriter", function()
  it("writes records of events", function()
    local folder = new_folder()
    local before = os.time()
    local writer = utils.SummaryWriter(folder .. "/a b/c")
    assert.equal(writer, writer:add_scalar("loss", 0.5, 300))
    writer:add_scalar("loss", mascon.tensor(0.25), 0)
    writer:add_image("picture", mascon.tensor { { { 0, 0.5, 2 }, { -1, 0 / 0, 1 } } }, 7)
    writer:close()
    writer:close()
    local list = records(read(writer.path))
    assert.equal(4, #list)
    assert.equal("brain.Event:2", fields(list[1])[3])
    local event = fields(list[2])
    assert.equal(300, event[2])
    local time = require("ffi").cast("const double *", event[1])[0]
    assert.is_true(time >= before - 1 and time <= os.time() + 2)
    local value = fields(fields(event[5])[1])
    assert.equal("loss", value[1])
    assert.equal("\0\0\0\63", value[2]) -- 0.5
    local picture = fields(fields(fields(fields(list[4])[5])[1])[4])
    assert.same({ 2, 3, 1 }, { picture[1], picture[2], picture[3] })
    assert.same({ { { 0, 128, 255 }, { 0, 0, 255 } } }, image.decode(picture[4]):totable())
    os.execute("rm -rf '" .. folder .. "'")
  end)

  it("gives writers of one folder files of their own", function()
    local folder = new_folder()
    local a, b = utils.SummaryWriter(folder), utils.SummaryWriter(folder)
    assert.is_not.equal(a.path, b.path)
    a:add_scalar("x", 1, 1):flush()
    assert.equal(2, #records(read(a.path)))
    assert.equal(1, #records(read(b.path)))
    a:close()
    b:close()
    os.execute("rm -rf '" .. folder .. "'")
  end)

  it("refuses what it cannot write", function()
    local folder = new_folder()
    local writer = utils.SummaryWriter(folder)
    local size = #read(writer.path)
    assert.truthy(message(writer.add_scalar, writer, "x", "1", 1):find('value is "1"; expected a number', 1, true))
    assert.truthy(message(writer.add_scalar, writer, "x", 1):find("step is a nil", 1, true))
    assert.truthy(message(writer.add_image, writer, "x", mascon.zeros { 2, 3, 4, 5 }, 1)
      :find("the picture is {2, 3, 4, 5}; expected {1, H, W} or {3, H, W}\nhint: x[1]", 1, true))
    assert.truthy(message(writer.add_image, writer, "x", mascon.zeros { 3, 0, 4 }, 1):find("no pixels", 1, true))
    assert.truthy(message(writer.add_image, writer, "x", mascon.ones({ 1, 2, 2 }, { dtype = "int64" }), 1)
      :find("the picture is int64; expected uint8", 1, true))
    assert.truthy(message(writer.add_image, writer, "x", 5, 1):find("argument 2 is 5", 1, true))
    writer:close()
    assert.equal(size, #read(writer.path))
    assert.truthy(message(writer.add_scalar, writer, "x", 1, 1):find("is closed", 1, true))
    assert.truthy(message(utils.SummaryWriter, writer.path):find("cannot be made", 1, true))
    assert.truthy(message(utils.SummaryWriter):find("dir is a nil; expected a string", 1, true))
    os.execute("rm -rf '" .. folder .. "'")
  end)
end)

describe("CSVLogger", function()
  it("writes a line for each call", function()
    local path = os.tmpname()
    local log = utils.CSVLogger(path)
    log:write { loss = 0.1, epoch = 1, accuracy = mascon.tensor(0.5), note = 'say "hi", then go' }
    assert.equal('epoch,accuracy,loss,note\n1,0.5,0.1,"say ""hi"", then go"\n', read(path))
    log:write { epoch = 2, loss = 0 / 0, accuracy = -1 / 0 }
    log:write { epoch = 3, loss = 1 / 3 }
    log:close()
    assert.equal("2,-inf,nan,\n3,,0.33333333333333331,\n", read(path):match "\n[^\n]*\n(.*)$")
    assert.truthy(message(log.write, log, { epoch = 4 }):find("is closed", 1, true))
    os.remove(path)
  end)

  it("goes on with a file", function()
    local path = os.tmpname()
    local log = utils.CSVLogger(path, { fields = { "b", "a,\"x\"" } })
    log:write { b = 1 }
    log:close()
    log = utils.CSVLogger(path, { append = true })
    assert.same({ "b", 'a,"x"' }, log.fields)
    log:write { ['a,"x"'] = 5 }
    log:close()
    assert.equal('b,"a,""x"""\n1,\n,5\n', read(path))
    assert.truthy(message(utils.CSVLogger, path, { append = true, fields = { "c" } })
      :find('has the fields b, a,"x"', 1, true))
    os.remove(path)
    log = utils.CSVLogger(path, { append = true }) -- a new file
    log:write { c = 1 }
    log:close()
    assert.equal("c\n1\n", read(path))
    os.remove(path)
  end)

  it("refuses what does not fit", function()
    local path = os.tmpname()
    local log = utils.CSVLogger(path)
    log:write { epoch = 1, loss = 2 }
    assert.truthy(message(log.write, log, { epoch = 1, los = 2 }):find('did you mean "loss"?', 1, true))
    assert.truthy(message(log.write, log, { 1, 2 }):find("1 is no name of a field", 1, true))
    assert.truthy(message(log.write, log, 5):find("argument 1 is 5", 1, true))
    log:close()
    assert.equal("epoch,loss\n1,2\n", read(path))
    os.remove(path)
    assert.truthy(message(utils.CSVLogger, new_folder() .. "/x.csv"):find("No such file or directory", 1, true))
    assert.truthy(message(utils.CSVLogger, path, { fields = { 1 } }):find("field 1 is 1; expected a string", 1, true))
  end)

  it("says when the disk is full", function()
    if not io.open("/dev/full", "wb") then
      pending "there is no /dev/full"
      return
    end
    local log = utils.CSVLogger "/dev/full"
    assert.truthy(message(log.write, log, { a = 1 }):find("/dev/full cannot be written", 1, true))
  end)
end)
