-- The examples, run as a user runs them, on drawn pictures.

--- Runs a command; returns its standard output and its exit status.
local function run(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null; echo $?"))
  local text = pipe:read "*a"
  pipe:close()
  return text:match "^(.-)(%d+)\n$"
end

local function new_folder()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local program = os.getenv "MASCON_PROGRAM" or "luajit"

describe("simple_cnn.lua", function()
  it("trains, prints its lines, and draws its curves", function()
    local folder = new_folder()
    local text, status = run(program .. " examples/simple_cnn.lua --epochs 2 --batch_size=64 --workers 1 --data "
      .. folder .. "/none --out " .. folder)
    assert.equal("0", status)
    assert.truthy(text:find "^No data set in [^\n]*: training on drawn pictures %(datasets.FakeData%)\n")
    assert.is_nil(text:find "CIFAR")
    local function pattern(line)
      return (line:gsub("NUMBER", function() return "%d+%.%d%d%d%d" end))
    end
    for epoch = 1, 2 do
      assert.truthy(text:find(pattern("\nEpoch: " .. epoch .. " | train_loss: NUMBER | train_acc: NUMBER "
        .. "| test_loss: NUMBER | test_acc: NUMBER\n")))
    end
    assert.truthy(text:find(pattern "\nTest | accuracy: NUMBER | f1: NUMBER | precision: NUMBER | recall: NUMBER\n$"))
    local svg = io.open(folder .. "/simple_cnn.svg")
    assert.truthy(svg)
    svg:close()
    os.remove(folder .. "/simple_cnn.svg")
    os.remove(folder)
  end)

  it("explains its options and refuses others", function()
    local text, status = run(program .. " examples/simple_cnn.lua --help")
    assert.equal("0", status)
    for _, name in ipairs { "epochs", "batch_size", "lr", "data", "device", "seed", "threads", "workers", "out" } do
      assert.truthy(text:find("--" .. name, 1, true), name)
    end
    for _, bad in ipairs { "--epoch 3", "--epochs 0", "--epochs", "--lr x", "3" } do
      assert.equal("2", (select(2, run(program .. " examples/simple_cnn.lua " .. bad))), bad)
    end
  end)
end)

--- Runs an example for two steps of two epochs; checks its lines and the pictures it writes.
local function check_example(name, pictures)
  local folder = new_folder()
  local text, status = run(program .. " examples/" .. name .. " --epochs 2 --steps 2 --batch_size 8 --workers 1"
    .. " --data " .. folder .. "/none --out " .. folder)
  assert.equal("0", status)
  assert.truthy(text:find "\nEpoch: 2 | train_loss: %d+%.%d+ | train_acc: %d+%.%d+ | test_loss: ")
  assert.truthy(text:find "\nTest | accuracy: %d+%.%d+ | f1: %d+%.%d+ | precision: %d+%.%d+ | recall: %d+%.%d+\n$")
  for _, picture in ipairs(pictures) do
    local svg = io.open(folder .. "/" .. picture)
    assert.truthy(svg, picture)
    assert.truthy(svg:read "*a":find("</svg>", 1, true), picture)
    svg:close()
  end
  os.execute("rm -rf '" .. folder .. "'")
end

describe("custom_cnn.lua", function()
  it("trains and draws the lecture's pictures", function()
    check_example("custom_cnn.lua", { "custom_cnn_sample.svg", "custom_cnn.svg", "custom_cnn_confusion.svg" })
  end)
end)

describe("augment.lua", function()
  it("trains and draws its pictures", function()
    check_example("augment.lua", { "augment_pictures.svg", "augment.svg", "augment_confusion.svg" })
  end)
end)

describe("the lecture's curves", function()
  it("can be drawn for a single epoch", function()
    local lecture = require "lecture"
    local text = lecture.plot_loss_curves({ train_loss = { 1 }, test_loss = { 2 }, train_acc = { 0.5 },
      test_acc = { 0.25 } }, "One"):text()
    assert.truthy(text:find("One", 1, true))
    assert.truthy(text:find("* train_accuracy   o test_accuracy", 1, true))
  end)
end)
