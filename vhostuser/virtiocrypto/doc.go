// Package virtiocrypto is the virtio crypto device (virtio 1.3, §5.9) behind
// vhost-user: its sessions, which come by messages of QEMU's or on the control
// queue, and its requests on data queues. What a request asks for is done by an
// Engine, the BAM client of package bamclient in service.
//
// Services are cipher, hash, MAC, AEAD, and chains of a cipher and a hash or
// MAC; asymmetric ciphers are not. Which algorithms there are, the Engine says.
//
// What a request or a session gets wrong, its status tells. Only a chain that
// has no room for header and status stops the ring.
//
// # Layout of AEAD requests
//
// The specification gives the parts' order (IV, source, associated data) and
// leaves the tag's place in a decryption open. Here the tag follows the
// ciphertext in the source, as it follows it in the destination of an
// encryption. The IV takes exactly iv_len bytes.
package virtiocrypto
