// FTP's helper for NAT (ip_vs_ftp.c).

export function bindFtp(index: u32): void {}

export function ftpFromClient(packet: usize, index: u32): bool {
  return true;
}

export function ftpFromServer(packet: usize, index: u32): bool {
  return true;
}
