package main

const header = "-----BEGIN RSA PRIVATE KEY-----"

var kinds = []string{"Secret", "SealedSecret"}
