class Hostless < Formula
  desc "Local AI gateway and names for local apps"
  homepage "https://github.com/hostless/hostless"
  version "@VERSION@"
  license "Apache-2.0"

  on_macos do
    on_arm do
      url "https://github.com/hostless/hostless/releases/download/@TAG@/hostless_@VERSION@_darwin_arm64.tar.gz"
      sha256 "@SHA256_DARWIN_ARM64@"
    end
    on_intel do
      url "https://github.com/hostless/hostless/releases/download/@TAG@/hostless_@VERSION@_darwin_amd64.tar.gz"
      sha256 "@SHA256_DARWIN_AMD64@"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/hostless/hostless/releases/download/@TAG@/hostless_@VERSION@_linux_arm64.tar.gz"
      sha256 "@SHA256_LINUX_ARM64@"
    end
    on_intel do
      url "https://github.com/hostless/hostless/releases/download/@TAG@/hostless_@VERSION@_linux_amd64.tar.gz"
      sha256 "@SHA256_LINUX_AMD64@"
    end
  end

  def install
    bin.install Dir["bin/*"]
    man1.install Dir["share/man/man1/*"]
    bash_completion.install "share/bash-completion/completions/hostless"
    zsh_completion.install "share/zsh/site-functions/_hostless"
    fish_completion.install "share/fish/vendor_completions.d/hostless.fish"
  end

  def caveats
    <<~EOS
      Start the daemon now and at each login, one of:
        brew services start hostless
        hostless service install
      An upgrade does not restart the running daemon; to restart it, one of:
        brew services restart hostless
        hostless service restart
    EOS
  end

  service do
    run opt_bin/"hostlessd"
    keep_alive successful_exit: false
    log_path var/"log/hostless.log"
    error_log_path var/"log/hostless.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/hostless --version")
    assert_match "run", shell_output("#{bin}/hostless __complete ru")
  end
end
